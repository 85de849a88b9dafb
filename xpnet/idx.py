"""The IDX format of MNIST: arrays with a header, plain or compressed with gzip.

A file is read as what it is and checked before anything is allocated; no format that can carry code is read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from xpnet.arguments import explains_arguments
from xpnet.checks import StrPath
from xpnet.errors import DatasetError

if TYPE_CHECKING:
    from gzip import GzipFile

__all__ = ["read_idx"]

GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 2**20
# The dtype codes of the IDX format (http://yann.lecun.com/exdb/mnist/, "The IDX file format").
DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
# NumPy 2 has at most 64 axes (NPY_MAXDIMS), while the format's header could name 255.
MOST_AXES = 64


@explains_arguments
def read_idx(path: StrPath, *, limit: int = 2**30) -> npt.NDArray[Any]:
    """Return the array of an IDX file, plain or compressed with gzip (told by its content, not its name).

    ``0 0 code rank | rank sizes of 4 bytes | prod(sizes) items``, everything big-endian.

    Shapes: as the header says. The dtype is one of uint8, int8, int16, int32, float32, float64, in this
    machine's byte order; the array is a new one, free to be written. Nothing is allocated on the word of
    the header: sizes that the file does not fill are an error, and at most *limit* bytes (1 GiB unless
    told) are unpacked from a compressed file, however much it promises.

    Raises
    ------
    DatasetError
        The file is missing, unreadable, not IDX, shorter or longer than its header says, or damaged.

    Source: the format's description at http://yann.lecun.com/exdb/mnist/, last section.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "tiny.idx"
    ...     _ = file.write_bytes(bytes([0, 0, 0x0B, 1]) + bytes([0, 0, 0, 2]) + bytes([0, 1, 1, 0]))
    ...     read_idx(file)
    array([  1, 256], dtype=int16)
    """
    path = os.fspath(path)
    with reading(path), open_idx(path) as (stream, length):
        array, _ = read_array(stream, path, limit=limit if length is None else length, exact=length)
    return array


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn whatever the system or the decompressor raises into one error that names the file."""
    import zlib

    try:
        yield
    except DatasetError:
        raise
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file.") from error
    except (EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: its gzip data is damaged or cut short ({error}); get the file again.") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error}).") from error


@contextmanager
def open_idx(path: str) -> Iterator[tuple[Readable, int | None]]:
    """Open *path* and give its uncompressed stream, and its length where that is known without unpacking."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if packed:
            with unpacked(raw) as stream:
                yield stream, None
        else:
            yield raw, os.fstat(raw.fileno()).st_size


def unpacked(raw: IO[bytes]) -> GzipFile:
    import gzip

    return gzip.GzipFile(fileobj=raw, mode="rb")


def _take(stream: Readable, size: int) -> bytearray:
    """Return up to *size* bytes, growing with what really arrives and not with what was promised."""
    content = bytearray()
    while len(content) < size:
        chunk = stream.read(min(CHUNK, size - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def read_array(stream: Readable, name: str, *, limit: int, exact: int | None = None) -> tuple[npt.NDArray[Any], bytes]:
    """Return the array of an IDX stream and its header."""
    header, dtype, shape = _read_header(stream, name)
    size = math.prod(shape) * dtype.itemsize
    total = len(header) + size
    promise = f"{name}: its header says {dtype.newbyteorder('=').name} of shape {shape}, {total:,} bytes,"
    if exact is not None and total != exact:
        raise DatasetError(f"{promise} but the file has {exact:,}; get the file again.")
    if total > limit:
        raise DatasetError(f"{promise} more than the limit of {limit:,}; if it is meant, pass a larger limit.")
    content = _take(stream, size)
    if len(content) != size:
        raise DatasetError(f"{promise} but it ends after {len(header) + len(content):,}; get the file again.")
    if stream.read(1):
        raise DatasetError(f"{promise} but more data follows; get the file again.")
    return _as_array(content, dtype, shape, promise), header


def _read_header(stream: Readable, name: str) -> tuple[bytes, np.dtype[Any], tuple[int, ...]]:
    magic = bytes(_take(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DatasetError(f"{name}: is no IDX file: it begins with {magic!r}, not with two zero bytes and a dtype.")
    dtype, rank = DTYPES.get(magic[2]), magic[3]
    if dtype is None:
        known = ", ".join(f"0x{code:02X}" for code in DTYPES)
        raise DatasetError(f"{name}: has the unknown IDX dtype code 0x{magic[2]:02X}; known are {known}.")
    if rank > MOST_AXES:
        raise DatasetError(f"{name}: its header says {rank} axes, more than NumPy's {MOST_AXES}.")
    sizes = bytes(_take(stream, 4 * rank))
    if len(sizes) < 4 * rank:
        raise DatasetError(f"{name}: ends inside its header, which has {rank} sizes of 4 bytes each.")
    shape = tuple(int.from_bytes(sizes[4 * axis : 4 * axis + 4], "big") for axis in range(rank))
    return magic + sizes, dtype, shape


def _as_array(content: bytearray, dtype: np.dtype[Any], shape: tuple[int, ...], promise: str) -> npt.NDArray[Any]:
    try:
        array = np.frombuffer(content, dtype).reshape(shape)
    except ValueError as error:
        # An empty array may still have sizes whose product no machine can index.
        raise DatasetError(f"{promise} which NumPy cannot hold ({error}).") from error
    return array.astype(dtype.newbyteorder("="), copy=False)

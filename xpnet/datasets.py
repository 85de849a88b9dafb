"""The data sets of the examples: MNIST from IDX files, a spiral, Gaussian clouds.

Files are read as what they are, arrays with a header, and checked before anything is allocated; no format
that can carry code is read at all. Generated sets come from a generator of their own seed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from xpnet.data import positive_integer, seeded_generator, to_host
from xpnet.errors import ConfigurationError, DataError, DatasetError, DtypeError, ShapeError

if TYPE_CHECKING:
    from gzip import GzipFile

__all__ = ["clouds", "digits_11x11", "mnist", "read_idx", "spiral"]

Points: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
Images: TypeAlias = npt.NDArray[np.uint8]
StrPath: TypeAlias = str | os.PathLike[str]

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 2**20
# The dtype codes of the IDX format (http://yann.lecun.com/exdb/mnist/, "The IDX file format").
_IDX_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
# NumPy 2 has at most 64 axes (NPY_MAXDIMS), while the format's header could name 255.
_MOST_AXES = 64


# --- IDX ---------------------------------------------------------------------------------------------


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
    with _reading(path), _open_idx(path) as (stream, length):
        array, _ = _read_array(stream, path, limit=limit if length is None else length, exact=length)
    return array


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def _reading(path: str) -> Iterator[None]:
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
def _open_idx(path: str) -> Iterator[tuple[_Readable, int | None]]:
    """Open *path* and give its uncompressed stream, and its length where that is known without unpacking."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        if packed:
            with _unpacked(raw) as stream:
                yield stream, None
        else:
            yield raw, os.fstat(raw.fileno()).st_size


def _unpacked(raw: IO[bytes]) -> GzipFile:
    import gzip

    return gzip.GzipFile(fileobj=raw, mode="rb")


def _take(stream: _Readable, size: int) -> bytearray:
    """Return up to *size* bytes, growing with what really arrives and not with what was promised."""
    content = bytearray()
    while len(content) < size:
        chunk = stream.read(min(_CHUNK, size - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def _read_array(
    stream: _Readable, name: str, *, limit: int, exact: int | None = None
) -> tuple[npt.NDArray[Any], bytes]:
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


def _read_header(stream: _Readable, name: str) -> tuple[bytes, np.dtype[Any], tuple[int, ...]]:
    magic = bytes(_take(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DatasetError(f"{name}: is no IDX file: it begins with {magic!r}, not with two zero bytes and a dtype.")
    dtype, rank = _IDX_DTYPES.get(magic[2]), magic[3]
    if dtype is None:
        known = ", ".join(f"0x{code:02X}" for code in _IDX_DTYPES)
        raise DatasetError(f"{name}: has the unknown IDX dtype code 0x{magic[2]:02X}; known are {known}.")
    if rank > _MOST_AXES:
        raise DatasetError(f"{name}: its header says {rank} axes, more than NumPy's {_MOST_AXES}.")
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


# --- MNIST -------------------------------------------------------------------------------------------


class _File(NamedTuple):
    """One of the four files: its official name, its array's shape, and what its plain content hashes to."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names under which it is found in the wild, the official one first."""
        dotted = self.name.replace("-idx", ".idx")
        return f"{self.name}.gz", self.name, dotted, f"{dotted}.gz"


# Computed from the files that LeCun, Cortes and Burges published as "The MNIST database of handwritten
# digits" (http://yann.lecun.com/exdb/mnist/), over the uncompressed content, since mirrors repack them.
_MNIST = (
    _File(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    _File(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    _File(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _File(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
# The copies that TensorFlow (cvdf) and torchvision (ossci) download.
_MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
_SILENCE = 20.0  # seconds without a byte after which a mirror counts as dead
_PATIENCE = 180.0  # seconds for one file from one mirror: 10 MB at 60 kB/s
_LARGEST_DOWNLOAD = 16 * 2**20  # bytes; the largest of the four has 9.6 million


def mnist(path: StrPath | None = None, *, download: bool = True) -> tuple[Images, Images, Images, Images]:
    r"""Return the MNIST digits: ``x_train, y_train, x_test, y_test``.

    Shapes: images (60000, 28, 28) and (10000, 28, 28), uint8 grey values 0..255, 0 being paper; labels
    (60000,) and (10000,), uint8 digits 0..9. Every file's content is checked by its SHA-256.

    Looked for in the first of these that there is:

    1. *path*, a folder with the four files or with a subfolder ``mnist`` that has them; nowhere else then;
    2. the folder that the variable ``XPNET_DATA`` names, in the same way;
    3. the user's cache: ``$XDG_CACHE_HOME/xpnet/mnist``, by default ``~/.cache/xpnet/mnist``, on Windows
       ``%LOCALAPPDATA%\xpnet\mnist``;
    4. two public mirrors, over https, whose files are kept in the cache; not with ``download=False``.

    The files may be compressed (``train-images-idx3-ubyte.gz``) or not, and may be spelled with a dot
    (``train-images.idx3-ubyte``).

    Raises
    ------
    DatasetError
        The files are not there and cannot be had (the message says how to provide them), or one is
        damaged.

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition",
    Proc. IEEE 86 (1998), section III.

    Examples
    --------
    >>> x_train, y_train, x_test, y_test = mnist()  # doctest: +SKIP
    >>> x_train.shape, x_train.dtype  # doctest: +SKIP
    ((60000, 28, 28), dtype('uint8'))
    """
    found = _find_mnist(path)
    if found is None and download and path is None:
        found = _download_mnist()
    if found is None:
        raise DatasetError(_how_to_get_mnist(path, download=download))
    x_train, y_train, x_test, y_test = (_read_verified(place, file) for place, file in zip(found, _MNIST, strict=True))
    return x_train, y_train, x_test, y_test


def _cache_folder() -> str:
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG base directory specification has relative paths ignored.
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.cache")
    return os.path.join(base, "xpnet", "mnist")


def _folders(path: StrPath | None) -> list[str]:
    if path is not None:
        base = os.path.expanduser(os.fspath(path))
        return [base, os.path.join(base, "mnist")]
    given = os.environ.get("XPNET_DATA")
    return [*(_folders(given) if given else []), _cache_folder()]


def _find_mnist(path: StrPath | None) -> list[str] | None:
    """Return the four files of the first folder that has all of them."""
    for folder in _folders(path):
        places = [_find(folder, file) for file in _MNIST]
        complete = [place for place in places if place is not None]
        if len(complete) == len(_MNIST):
            return complete
    return None


def _find(folder: str, file: _File) -> str | None:
    places = (os.path.join(folder, name) for name in file.spellings)
    return next(filter(os.path.isfile, places), None)


def _read_verified(place: str, file: _File) -> Images:
    with _reading(place), _open_idx(place) as (stream, length):
        return _verify(stream, place, file, length)


def _verify(stream: _Readable, name: str, file: _File, length: int | None = None) -> Images:
    """Return the array of a stream that is exactly the file that was published."""
    import hashlib

    # Header and data together are the whole content, so the content's hash needs no second copy of it.
    expected = 4 + 4 * len(file.shape) + math.prod(file.shape)
    array, header = _read_array(stream, name, limit=expected, exact=length)
    digest = hashlib.sha256(header)
    digest.update(array.reshape(-1).data)
    if digest.hexdigest() != file.sha256:
        raise DatasetError(
            f"{name}: is not MNIST's {file.name}: the SHA-256 of its content is {digest.hexdigest()}, not "
            f"{file.sha256}; delete it and get it again."
        )
    return array


def _how_to_get_mnist(path: StrPath | None, *, download: bool) -> str:
    names = ", ".join(f"{file.name}.gz" for file in _MNIST)
    looked = ", ".join(map(_describe, _folders(path)))
    ways = "give their folder as mnist(path), set the variable XPNET_DATA to it"
    allow = "" if download and path is None else "; or call mnist() with download=True and no path"
    return (
        f"MNIST is not on this machine: looked in {looked}. Put its four files ({names}, or the same "
        f"uncompressed) into one folder, then {ways}, or make it {_cache_folder()}{allow}. "
        f"They can be had from {' or '.join(_MIRRORS)}."
    )


def _describe(folder: str) -> str:
    """Return the folder's name, and what it lacks if it has some of the files."""
    missing = [file.name for file in _MNIST if _find(folder, file) is None]
    partly = 0 < len(missing) < len(_MNIST)
    return f"{folder} (which lacks {', '.join(missing)})" if partly else folder


def _download_mnist() -> list[str]:
    """Fetch what the cache lacks and return the four files there."""
    folder = _cache_folder()
    places = []
    for file in _MNIST:
        place = _find(folder, file)
        if place is None:
            content = _fetch(file)
            place = os.path.join(folder, f"{file.name}.gz")
            _write_atomically(place, content)
        places.append(place)
    return places


def _fetch(file: _File) -> bytearray:
    """Return the compressed content of a file, checked, from the first mirror that has it."""
    import io

    reasons = []
    for mirror in _MIRRORS:
        url = f"{mirror}{file.name}.gz"
        try:
            content = _fetch_url(url)
            with _reading(file.name), _unpacked(io.BytesIO(content)) as stream:
                _verify(stream, url, file)
        except (OSError, ValueError) as error:
            reasons.append(f"{url}: {error}")
        else:
            return content
    raise DatasetError(f"{_how_to_get_mnist(None, download=True)} Downloading them failed: {'; '.join(reasons)}.")


def _fetch_url(url: str) -> bytearray:
    """Return what *url* gives, within limits of size and time."""
    import http.client
    import time
    import urllib.request

    deadline = time.monotonic() + _PATIENCE
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as response:
            # `read1` returns with what one packet brought, so a slow mirror cannot hold up the clock.
            while chunk := response.read1(_CHUNK):
                content += chunk
                if len(content) > _LARGEST_DOWNLOAD:
                    raise DatasetError(f"sends more than {_LARGEST_DOWNLOAD:,} bytes")
                if time.monotonic() > deadline:
                    raise DatasetError(f"takes longer than {_PATIENCE:.0f} s")
    except http.client.HTTPException as error:
        raise DatasetError(f"breaks off ({error!r})") from error
    return content


def _write_atomically(place: str, content: bytearray) -> None:
    """Write a file that is there as a whole or not at all, even with two processes at it."""
    import tempfile

    try:
        folder, name = os.path.split(place)
        os.makedirs(folder, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.replace(temporary, place)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise DatasetError(
            f"{place}: cannot be written ({error}); make that folder writable, set XDG_CACHE_HOME (on "
            "Windows LOCALAPPDATA) to one that is, or put the files in a folder and set XPNET_DATA to it."
        ) from error


def digits_11x11(images: Any) -> npt.NDArray[np.float64]:
    """Shrink 28 x 28 digits to 121 raw pixels: ``images[:, ::2, ::2][:, 1:-2, 1:-2]``, flattened row by row.

    Shapes: (n, 28, 28) -> (n, 121) float64, grey values unscaled (0..255 for MNIST). Every second row and
    column is kept, and of those 14 the first and the last two, nearly always paper, are cut.

    Raises
    ------
    ShapeError
        The images are not (n, 28, 28).
    DtypeError
        They are not real numbers.

    Source: the first of the five networks that the examples reproduce (``examples/digits_11x11.py``).

    Examples
    --------
    >>> digits_11x11(np.zeros((5, 28, 28), np.uint8)).shape
    (5, 121)
    """
    host = to_host(images, "images")
    if host.ndim != 3 or host.shape[1:] != (28, 28):
        raise ShapeError(f"images must have shape (n, 28, 28), got {host.shape}; give one image as images[None].")
    if host.dtype.kind not in "biuf":
        raise DtypeError(f"images must hold real numbers, got dtype {host.dtype}.")
    return host[:, ::2, ::2][:, 1:-2, 1:-2].reshape(len(host), 121).astype(np.float64)


# --- generated sets ----------------------------------------------------------------------------------


def spiral(points: int = 100, arms: int = 3, *, noise: float = 0.2, seed: int = 0) -> Points:
    """Return a spiral of interleaved arms: arm c holds ``(r sin 2.5a, r cos 2.5a)``.

    ``r`` runs evenly over 0..1 and ``a`` over 4c..4(c+1), with normal noise of deviation *noise* on ``a``.

    Shapes: x (arms * points, 2) float64, y (arms * points,) int64, the arm of each point; arm by arm, not
    shuffled.

    Raises
    ------
    ConfigurationError
        *points* or *arms* is not a positive integer, *noise* is negative, or *seed* is no seed.

    Source of 4, 2.5 and 0.2: Kinsley and Kukieła, "Neural Networks from Scratch in Python" (2020), chapter
    3, after Karpathy, https://cs231n.github.io/neural-networks-case-study/.

    Examples
    --------
    >>> x, y = spiral(100, 3, seed=0)
    >>> x.shape, y.shape, np.bincount(y).tolist()
    ((300, 2), (300,), [100, 100, 100])
    """
    points, arms = positive_integer("points", points), positive_integer("arms", arms)
    noise = _spread("noise", noise)
    generator = seeded_generator(seed)
    radius = np.linspace(0.0, 1.0, points)
    start = 4.0 * np.arange(arms)[:, None]
    angle = start + np.linspace(0.0, 4.0, points) + noise * generator.standard_normal((arms, points))
    x = np.stack([radius * np.sin(2.5 * angle), radius * np.cos(2.5 * angle)], axis=-1)
    return x.reshape(-1, 2), np.repeat(np.arange(arms, dtype=np.int64), points)


def clouds(
    points: int = 500,
    *,
    centers: Sequence[Sequence[float]] = ((0, -2), (2, 2), (-2, 2)),
    deviation: float = 1.0,
    seed: int = 0,
) -> Points:
    """Return Gaussian clouds: ``center[c] + deviation * normal``, *points* of each class c.

    Shapes: centers (classes, features); x (classes * points, features) float64, y (classes * points,)
    int64; cloud by cloud, not shuffled.

    Raises
    ------
    ConfigurationError
        *points* is not a positive integer, *deviation* is negative, or *seed* is no seed.
    ShapeError
        *centers* is not a table.
    DataError
        *centers* is empty or not finite.

    Source of the centres: the third of the five networks that the examples reproduce
    (``examples/clouds.py``).

    Examples
    --------
    >>> x, y = clouds(500)
    >>> x.shape, np.bincount(y).tolist()
    ((1500, 2), [500, 500, 500])
    """
    points, deviation = positive_integer("points", points), _spread("deviation", deviation)
    middle = to_host(centers, "centers")
    if middle.ndim != 2:
        raise ShapeError(f"centers must be a table (classes, features), got shape {middle.shape}.")
    if middle.dtype.kind not in "biuf":
        raise DtypeError(f"centers must hold real numbers, got dtype {middle.dtype}.")
    if not middle.size or not np.all(np.isfinite(middle)):
        raise DataError(f"centers must be finite and not empty, got {middle.tolist()}.")
    classes, features = middle.shape
    noise = seeded_generator(seed).standard_normal((classes, points, features))
    x = middle[:, None, :] + deviation * noise
    return x.reshape(-1, features), np.repeat(np.arange(classes, dtype=np.int64), points)


def _spread(name: str, value: Any) -> float:
    if isinstance(value, (int, float, np.number)) and 0 <= value < math.inf:
        return float(value)
    raise ConfigurationError(f"{name} must be a finite number that is not negative, got {value!r}.")

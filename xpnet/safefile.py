"""Save arrays to files and read them back: the safetensors format, written reproducibly and read with every check.

A file is the length of its header (8 bytes), the header (JSON: the dtype, shape and byte range of each array, and a
mapping of text to text), and the bytes of the arrays. Each limit is checked before the work that it bounds: the length
of the header before the header is read, the number of arrays before it is parsed, the byte ranges against the length of
the file before memory is reserved. Arrays are written as contiguous little-endian copies in a fixed order, so that the
same arrays always give the same bytes. A checksum of the whole content is stored among the texts, so that a number
that a disk has corrupted is not taken for a weight.

The format: https://github.com/huggingface/safetensors#format. That library reads these files, and these functions
read its; it is not used here, because it does not bound what it parses and does not always write the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xpnet.atomic_write import replace_file
from xpnet.errors import CheckpointError
from xpnet.strict_json import read_json

__all__ = ["CHECKSUM", "Arrays", "read_file", "read_texts", "write_file"]

Arrays = dict[str, np.ndarray[Any, Any]]
Header = dict[str, Any]

MAX_HEADER = 1 << 20
"""Largest header in bytes: enough for a network of thousands of layers, too small for an attack."""

MAX_ARRAYS = 10_000
MAX_AXES = 32

TEXTS = "__metadata__"

CHECKSUM = "checksum"
"""The name of the text that holds the checksum; files without one are read unchecked."""

TYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
        "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8",
    }.items()
}  # fmt: skip
"""The format's dtypes that NumPy has too."""

NAMES = {dtype: name for name, dtype in TYPES.items()}


class ArrayInfo(NamedTuple):
    """What the header says of an array: its bytes, ``start`` to ``stop`` of the data, its dtype and shape."""

    start: int
    stop: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


# Writing


def write_file(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], texts: Mapping[str, str]) -> None:
    """Replace the file at *path* by one with these arrays and texts, atomically (:mod:`xpnet.atomic_write`).

    Raises
    ------
    CheckpointError
        The file cannot be written, the format lacks a dtype, or there is more than :func:`read_file` accepts.
    """
    replace_file(path, _parts(arrays, texts), CheckpointError)


def _parts(arrays: Mapping[str, np.ndarray[Any, Any]], texts: Mapping[str, str]) -> list[bytes | memoryview]:
    """Return the parts of a file: the header's length, the header, and the bytes of each array."""
    copies = {name: _contiguous(name, array) for name, array in arrays.items()}
    order = sorted(copies, key=lambda name: (-copies[name].itemsize, name))
    header: Header = {TEXTS: dict(sorted(texts.items()))}
    start = 0
    for name in order:
        array = copies[name]
        stop = start + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [start, stop]}
        start = stop
    try:
        header[TEXTS] = dict(sorted({**header[TEXTS], CHECKSUM: _checksum(header, copies)}.items()))
        encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        encoded += b" " * (-len(encoded) % 8)  # aligns each element to a multiple of its size
        _check_header_size(len(encoded))
        _array_infos(_parsed(encoded), start)
    except ValueError as error:
        raise CheckpointError(f"this cannot be saved, for no file with it would be read: {error}") from error
    return [len(encoded).to_bytes(8, "little"), encoded, *(_bytes(copies[name]) for name in order)]


def _bytes(array: np.ndarray[Any, Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _checksum(header: Header, arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Return the CRC-32 of texts and arrays in the order of names, as other programs store them in another order."""
    texts = {name: text for name, text in header.get(TEXTS, {}).items() if name != CHECKSUM}
    kinds = {name: [header[name]["dtype"], header[name]["shape"]] for name in arrays}
    found = zlib.crc32(json.dumps([texts, kinds], sort_keys=True).encode())
    for name in sorted(arrays):
        found = zlib.crc32(_bytes(arrays[name]), found)
    return f"crc32:{found:08x}"


def _is_checksum(text: str | None) -> bool:
    """Say whether a text is a checksum and not a note of the user's with the same name."""
    return text is not None and re.fullmatch("crc32:[0-9a-f]{8}", text) is not None


def _contiguous(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    little = array.dtype.newbyteorder("<")
    if little not in NAMES or name == TEXTS:
        raise CheckpointError(
            f"the array {name!r} of {array.dtype} cannot be saved; a file takes the dtypes {', '.join(TYPES)}"
        )
    return np.asarray(array, dtype=little, order="C")


# Reading


def read_file(path: Path) -> tuple[dict[str, str], Arrays]:
    """Return texts and arrays of a file, or raise CheckpointError; the limits are described above."""
    with _opened(path) as (file, header, size):
        infos = _array_infos(header, size)
        data = np.empty(size, dtype=np.uint8)
        if file.readinto(data.data) != size:
            raise ValueError("it is cut short")
        arrays = {name: _array(data, info) for name, info in infos.items()}
        texts = header.get(TEXTS, {})
        if _is_checksum(texts.get(CHECKSUM)) and texts[CHECKSUM] != _checksum(header, arrays):
            raise ValueError(
                f"its bytes are not those that were written, as their {CHECKSUM} is another; if they were changed on "
                f"purpose, take the text {CHECKSUM!r} out of its {TEXTS}"
            )
        return _without_checksum(texts), arrays


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts of a file without reading its arrays; the whole header is checked all the same."""
    with _opened(path) as (_, header, size):
        _array_infos(header, size)
        return _without_checksum(header.get(TEXTS, {}))


def _without_checksum(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name != CHECKSUM or not _is_checksum(text)}


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, Header, int]]:
    """Open a file and read its header; yield handle, header and the data's size. All errors are CheckpointError."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no regular file")
            length = int.from_bytes(file.read(8), "little")
            size = status.st_size - 8 - length
            if size < 0:
                raise ValueError("it is cut short, or begins with something else than the length of a header")
            _check_header_size(length)
            yield file, _parsed(file.read(length)), size
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        reason = f"{path} is not an xpnet file, or it is damaged: {error}"
        raise CheckpointError(f"cannot read {path}: {error}" if "\0" in str(path) else reason) from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open *path* without waiting, as opening a pipe would."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_header_size(length: int) -> None:
    if length > MAX_HEADER:
        raise ValueError(f"a header of {length:,} bytes; at most {MAX_HEADER:,} are read")


def _parsed(encoded: bytes) -> Header:
    """Parse the header, after bounding its number of arrays."""
    if encoded.count(b'"data_offsets"') > MAX_ARRAYS:
        raise ValueError(f"more than {MAX_ARRAYS:,} arrays")
    if not encoded.startswith(b"{"):
        raise ValueError("its header is no JSON object")
    header: Header = read_json(encoded.decode())
    texts = header.get(TEXTS, {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{TEXTS} must map text to text")
    if len(header) - (TEXTS in header) > MAX_ARRAYS:  # keys may have been escaped, so that they were not counted
        raise ValueError(f"more than {MAX_ARRAYS:,} arrays")
    return header


def _array_infos(header: Header, size: int) -> dict[str, ArrayInfo]:
    """Return what the header says of each array, if they fill *size* bytes without gap or overlap."""
    infos = {name: _array_info(name, entry) for name, entry in header.items() if name != TEXTS}
    end = 0
    for name, info in sorted(infos.items(), key=lambda item: item[1][:2]):
        if info.start != end:
            raise ValueError(f"the array {name!r} must begin at byte {end} of the data, not at {info.start}")
        end = info.stop
    if end != size:
        raise ValueError(f"the arrays take {end:,} bytes, and the file has {size:,} for them")
    return infos


def _array_info(name: str, entry: Any) -> ArrayInfo:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the array {name!r} must be described by dtype, shape and data_offsets")
    dtype, shape, offsets = (entry[key] for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise ValueError(f"the array {name!r} has a dtype that is not read; known are {', '.join(TYPES)}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(shape) > MAX_AXES or len(offsets) != 2:
        raise ValueError(f"the array {name!r} has an impossible shape or place")
    start, stop = offsets
    if stop - start != prod(shape) * TYPES[dtype].itemsize:
        raise ValueError(f"the array {name!r} of shape {tuple(shape)} cannot lie in {stop - start} bytes")
    return ArrayInfo(start, stop, TYPES[dtype], tuple(shape))


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 <= n < 2**63 for n in values)


def _array(data: np.ndarray[Any, Any], info: ArrayInfo) -> np.ndarray[Any, Any]:
    array = data[info.start : info.stop].view(info.dtype).reshape(info.shape)
    if info.dtype == bool and data[info.start : info.stop].max(initial=0) > 1:
        raise ValueError("it has truth values beyond 0 and 1")
    return array

from __future__ import annotations

import gzip
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xpnet.errors import DatasetError
from xpnet.idx import read_array, read_idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim]) + sizes
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0,), (2, 0, 3)])
@pytest.mark.parametrize("dtype", list(CODES))
def test_read_idx(tmp_path: Path, dtype: str, shape: tuple[int, ...], pack: Any) -> None:
    array = np.random.default_rng(0).uniform(-100, 100, shape).astype("int8").astype(dtype)
    # The name tells nothing: content does.
    path = tmp_path / "file.bin"
    path.write_bytes(pack(idx(np.asarray(array))))
    read = read_idx(path)
    np.testing.assert_array_equal(read, array, strict=True)
    assert read.dtype.isnative
    assert read.flags.writeable
    np.testing.assert_array_equal(read_idx(str(path)), array)


GOOD = idx(np.arange(6, dtype="int16").reshape(2, 3))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no IDX file"),
        (b"\0\0\x08", "is no IDX file"),
        (b"\x89PNG\r\n", "is no IDX file"),
        (b"\0\0\x07\x01\0\0\0\0", "unknown IDX dtype code 0x07; known are 0x08, 0x09"),
        (b"\0\0\x08\x41" + 65 * b"\0\0\0\1", "65 axes"),
        (GOOD[:9], "ends inside its header, which has 2 sizes"),
        (GOOD[:-1], r"int16 of shape \(2, 3\), 24 bytes, but"),
        (GOOD + b"x", r"int16 of shape \(2, 3\), 24 bytes, but"),
        (b"\0\0\x08\x05" + 4 * b"\0\0\0\0" + b"\xff" * 3, "ends inside its header"),
        (b"\0\0\x08\x05\0\0\0\0" + 16 * b"\xff", "NumPy cannot hold"),
    ],
)
def test_read_idx_refuses(tmp_path: Path, content: bytes, message: str, pack: Any) -> None:
    path = tmp_path / "bad.idx"
    path.write_bytes(pack(content))
    with pytest.raises(DatasetError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_read_idx_refuses_broken_gzip_and_missing_files(tmp_path: Path) -> None:
    packed = gzip.compress(idx(np.arange(1000, dtype="int32")))
    path = tmp_path / "bad.gz"
    for broken in (
        packed[:-200],
        packed[:12],
        packed[:-8] + b"\0" * 8,
        packed[:30] + b"\xff" * 40 + packed[70:],
    ):
        path.write_bytes(broken)
        with pytest.raises(DatasetError, match=r"bad\.gz"):
            read_idx(path)
    with pytest.raises(DatasetError, match="no such file"):
        read_idx(tmp_path / "none.idx")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_idx(tmp_path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_read_idx_does_not_allocate_what_the_header_promises(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "liar.idx"
    promise = (2**29).to_bytes(4, "big")
    path.write_bytes(pack(b"\0\0\x08\x01" + promise + b"x"))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="536,870,920 bytes"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_read_idx_stops_a_gzip_bomb(tmp_path: Path) -> None:
    size = 2**24
    path, modest = tmp_path / "bomb.gz", tmp_path / "modest.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01" + size.to_bytes(4, "big") + bytes(size)))
    modest.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x04" + bytes(size)))
    tracemalloc.start()
    with pytest.raises(DatasetError, match="more than the limit of 1,048,576; if it is meant, pass a larger"):
        read_idx(path, limit=2**20)
    with pytest.raises(DatasetError, match="more data follows"):
        read_idx(modest)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@given(st.binary(max_size=40))
def test_read_idx_never_fails_otherwise(content: bytes) -> None:
    for prefix in (b"", b"\0\0\x08\x01", b"\x1f\x8b\x08\0"):
        try:
            read_array(io.BytesIO(prefix + content), "fuzz", limit=1000)
        except DatasetError:
            continue

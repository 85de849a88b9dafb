"""Arrays in files: bit-exact round trips, one file for one content, and refusals before any work."""

from __future__ import annotations

import hashlib
import json
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as library_load, save as library_save

from xpnet import CheckpointError, safefile
from xpnet.safefile import TYPES, read_file, read_texts, write_file

RNG = np.random.default_rng(5)


def random_array(draw: np.random.Generator, kind: str) -> np.ndarray[Any, Any]:
    """Return an array of random bits, NaN payloads among them, in one of the layouts that NumPy has."""
    dtype = TYPES[kind]
    shape = tuple(int(n) for n in draw.integers(0, 5, draw.integers(0, 4)))
    bits = draw.integers(0, 2 if kind == "BOOL" else 256, (*shape, dtype.itemsize), dtype=np.uint8)
    array = bits.view(dtype)[..., 0] if bits.size else np.empty(shape, dtype)
    layout = draw.integers(0, 6)
    if layout == 1:
        array = np.asfortranarray(array)
    elif layout == 2:
        array = np.repeat(np.atleast_1d(array), 2, axis=-1)[..., ::2]
    elif layout == 3:
        array = array[::-1] if array.ndim else array
    elif layout == 4:
        array = array.astype(dtype.newbyteorder(">"))
    elif layout == 5:
        array = np.array(array)
        array.flags.writeable = False
    return array.T if draw.integers(0, 2) else array


def bits_of(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.dtype, array.shape, np.ascontiguousarray(little).tobytes()


def trip(count: int, seed: int, path: Path) -> None:
    """Write and read so many generated states, and compare every bit."""
    draw, kinds = np.random.default_rng(seed), list(TYPES)
    for number in range(count):
        arrays = {f"a{i}": random_array(draw, kinds[draw.integers(len(kinds))]) for i in range(draw.integers(0, 6))}
        texts = {"note": "ä\n\0" * int(draw.integers(0, 4))}
        write_file(path, arrays, texts)
        found_texts, found = read_file(path)
        assert found_texts == texts
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert bits_of(found[name]) == bits_of(array), f"seed {seed}, state {number}, {name}"


@pytest.mark.parametrize("seed", range(2))
def test_generated_states_come_back_bit_for_bit(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # 10,000 waits for a disk prove nothing about bits
    trip(5_000, seed, tmp_path / "file")


def test_the_library_reads_what_we_write_and_we_what_it_writes(tmp_path: Path) -> None:
    arrays = {kind: np.atleast_1d(random_array(RNG, kind)).copy(order="C") for kind in TYPES if kind != "C64"}
    arrays = {name: np.ascontiguousarray(array.astype(TYPES[name])) for name, array in arrays.items()}
    write_file(tmp_path / "ours", arrays, {"a": "b"})
    (tmp_path / "theirs").write_bytes(library_save(arrays, metadata={"a": "b"}))
    by_library, (texts, by_us) = library_load((tmp_path / "ours").read_bytes()), read_file(tmp_path / "theirs")
    assert texts == {"a": "b"}
    for name, array in arrays.items():
        assert bits_of(by_library[name]) == bits_of(by_us[name]) == bits_of(array)


def test_a_checksum_is_of_what_a_file_holds_whoever_has_written_it_last(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3, dtype=np.int8)}
    write_file(tmp_path / "file", arrays, {"x": "1"})
    content = (tmp_path / "file").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["b"]["data_offsets"], header["a"]["data_offsets"] = [0, 3], [3, 51]
    data = content[8 + size :]
    (tmp_path / "again").write_bytes(assemble(dict(reversed(header.items())), data[48:] + data[:48]))
    assert read_file(tmp_path / "again")[0] == read_texts(tmp_path / "again") == {"x": "1"}
    for changed, texts in ({"a": arrays["a"] + 1, "b": arrays["b"]}, header["__metadata__"]), (arrays, {"x": "2"}):
        texts = {**texts, "checksum": header["__metadata__"]["checksum"]}
        (tmp_path / "changed").write_bytes(library_save(changed, metadata=texts))
        with pytest.raises(CheckpointError, match="changed is not an xpnet file, or it is damaged: its bytes are not"):
            read_file(tmp_path / "changed")
        (tmp_path / "changed").write_bytes(library_save(changed, metadata={"x": "2"}))
        read_file(tmp_path / "changed")


def test_a_note_of_a_checksum_is_no_checksum(tmp_path: Path) -> None:
    content = library_save({"a": np.ones(2)}, metadata={"checksum": "sha256 of the data: 12ab"})
    (tmp_path / "file").write_bytes(content)
    assert read_file(tmp_path / "file")[0] == read_texts(tmp_path / "file") == {"checksum": "sha256 of the data: 12ab"}


def test_one_content_has_one_hash(tmp_path: Path) -> None:
    arrays = {name: random_array(RNG, kind) for name, kind in zip("cab", ["F32", "I8", "F64"], strict=True)}
    write_file(tmp_path / "a", arrays, {"x": "1", "a": "2"})
    other = {name: np.asfortranarray(arrays[name].astype(arrays[name].dtype.newbyteorder(">"))) for name in "abc"}
    write_file(tmp_path / "b", other, {"a": "2", "x": "1"})
    first, second = ((tmp_path / name).read_bytes() for name in "ab")
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


def test_what_was_read_may_be_written_to_and_is_aligned(tmp_path: Path) -> None:
    write_file(tmp_path / "a", {"b": np.ones(3, "?"), "d": np.ones(3)}, {"odd": "x" * 3})
    for array in read_file(tmp_path / "a")[1].values():
        assert array.flags.writeable
        assert array.flags.aligned


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.ones(2, "c16"), np.ones(2, "M8[s]")])
def test_a_dtype_that_no_file_has_is_refused(array: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'a' of .* cannot be saved; a file takes the dtypes BOOL"):
        write_file(tmp_path / "a", {"a": array}, {})


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="more than 10,000 arrays"):
        write_file(tmp_path / "a", {str(i): np.zeros(0) for i in range(10_001)}, {})
    with pytest.raises(CheckpointError, match="at most 1,048,576"):
        write_file(tmp_path / "a", {}, {"a": "x" * 2**20})
    assert not list(tmp_path.iterdir())


# Refusals


def assemble(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape: Any = (2,), place: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": place}


BAD = {
    "empty": b"",
    "short": b"\x02\x00",
    "no header": (0).to_bytes(8, "little"),
    "array": assemble([]),
    "padding before": assemble(b" {}"),
    "not UTF-8": assemble(b'{"\xff":1}'),
    "UTF-16": assemble("{}".encode("utf-16")),
    "twice": assemble(b'{"a":1,"a":1}'),
    "constant": assemble(b'{"__metadata__":{"a":NaN}}'),
    "texts": assemble({"__metadata__": {"a": 1}}),
    "texts list": assemble({"__metadata__": ["a"]}),
    "missing key": assemble({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "another key": assemble({"a": {**entry(), "path": "/etc/passwd"}}, bytes(8)),
    "dtype": assemble({"a": entry(dtype="O")}, bytes(8)),
    "dtype list": assemble({"a": entry(dtype=["F32"])}, bytes(8)),
    "negative": assemble({"a": entry(shape=[-2])}, bytes(8)),
    "huge": assemble({"a": entry(shape=[2**62, 2**62])}, bytes(8)),
    "product": assemble({"a": entry(shape=[2**32, 2**32, 0], place=[0, 8])}, bytes(8)),
    "digits": assemble(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}', bytes(8)),
    "true": assemble({"a": entry(shape=[True, 2])}, bytes(8)),
    "real": assemble({"a": entry(shape=[2.0])}, bytes(8)),
    "axes": assemble({"a": entry(shape=[1] * 33, place=[0, 4])}, bytes(4)),
    "place": assemble({"a": entry(place=[0, 8, 8])}, bytes(8)),
    "back": assemble({"a": entry(place=[8, 0])}, bytes(8)),
    "beyond": assemble({"a": entry(place=[8, 16])}, bytes(8)),
    "gap": assemble({"a": entry(), "b": entry(place=[12, 20])}, bytes(20)),
    "overlap": assemble({"a": entry(), "b": entry(place=[4, 12])}, bytes(12)),
    "same place": assemble({"a": entry(), "b": entry()}, bytes(8)),
    "rest": assemble({"a": entry()}, bytes(9)),
    "cut": assemble({"a": entry()}, bytes(7)),
    "truth": assemble({"a": entry(dtype="BOOL", place=[0, 2])}, b"\x00\x02"),
    "nested": assemble(b'{"__metadata__":' + b'{"a":' * 70 + b"1" + b"}" * 71),
    "nested beyond Python": assemble(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BAD[name])
    with pytest.raises(CheckpointError, match="file is not an xpnet file, or it is damaged"):
        read_file(tmp_path / "file")
    if name != "truth":  # the one that is about the data
        with pytest.raises(CheckpointError):
            read_texts(tmp_path / "file")


def many(count: int, key: str = "data_offsets") -> bytes:
    item = f'":{{"dtype":"F32","shape":[0],"{key}":[0,0]}}'
    return assemble(("{" + ",".join(f'"{i}{item}' for i in range(count)) + "}").encode())


@pytest.mark.parametrize(
    "content",
    [(2**20 + 1).to_bytes(8, "little") + b"{" + b" " * 2**20, (95 << 20).to_bytes(8, "little"), many(10_001)],
    ids=["a header above 1 MiB", "a header of 95 MB", "10,001 arrays"],
)
def test_what_is_too_large_is_refused_within_10_ms(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    if len(content) == 8:
        os.truncate(path, 200 << 20)  # a hole: nothing of it may be read
    taken = []
    for _ in range(5):
        start = time.thread_time()
        with pytest.raises(CheckpointError, match=r"at most 1,048,576|more than 10,000"):
            read_file(path)
        taken.append(time.thread_time() - start)
    assert min(taken) < 0.01


def test_the_number_of_arrays_cannot_be_hidden_by_spelling(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(many(10_001, "data\\u005foffsets"))
    with pytest.raises(CheckpointError, match="more than 10,000"):
        read_file(tmp_path / "file")


def test_no_memory_is_reserved_for_what_the_file_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(assemble({"a": entry(shape=[10**9], place=[0, 4 * 10**9])}, bytes(64)))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read_file(tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_array_is_read_once_into_memory(tmp_path: Path) -> None:
    write_file(tmp_path / "file", {"a": np.zeros(1 << 22)}, {})
    tracemalloc.start()
    try:
        read_file(tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 1.1 * (8 << 22)
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="no regular file"):
        read_file(tmp_path / "pipe")


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, places = tmp_path / "file", safefile._array_infos
    write_file(path, {"a": np.zeros(100_000)}, {})

    def shrink(*arguments: Any) -> Any:
        os.truncate(path, 300_000)
        return places(*arguments)

    monkeypatch.setattr(safefile, "_array_infos", shrink)
    with pytest.raises(CheckpointError, match="cut short"):
        read_file(path)

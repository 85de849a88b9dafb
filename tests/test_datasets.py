from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import tracemalloc
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import datasets
from xpnet.datasets import clouds, digits_11x11, mnist, read_idx, spiral
from xpnet.errors import ConfigurationError, DataError, DatasetError, DtypeError, ShapeError

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim]) + sizes
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


# --- IDX ---------------------------------------------------------------------------------------------


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


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_read_idx_never_fails_otherwise(content: bytes) -> None:
    for prefix in (b"", b"\0\0\x08\x01", b"\x1f\x8b\x08\0"):
        try:
            datasets._read_array(io.BytesIO(prefix + content), "fuzz", limit=1000)
        except DatasetError:
            continue


# --- MNIST -------------------------------------------------------------------------------------------

ARRAYS = [np.random.default_rng(i).integers(0, 255, shape, "uint8") for i, shape in
          enumerate([(6, 28, 28), (6,), (2, 28, 28), (2,)])]  # fmt: skip
CONTENTS = [idx(array) for array in ARRAYS]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a tiny set pass for MNIST, with an empty cache, no data folder and no network."""
    files = tuple(
        file._replace(shape=array.shape, sha256=hashlib.sha256(content).hexdigest())
        for file, array, content in zip(datasets._MNIST, ARRAYS, CONTENTS, strict=True)
    )
    monkeypatch.setattr(datasets, "_MNIST", files)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path / "cache" / "xpnet" / "mnist"


def refuse(url: str, timeout: float) -> Any:
    raise urllib.request.URLError("no network in tests")


class Mirror:
    """Serves the small set as `urlopen` would, or whatever *contents* says, and remembers what was asked."""

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        names = [file.name for file in datasets._MNIST]
        good = {f"{n}.gz": gzip.compress(content) for n, content in zip(names, CONTENTS, strict=True)}
        self.contents = good | (contents or {})
        self.asked: list[str] = []

    def __call__(self, url: str, timeout: float) -> Any:
        assert url.startswith("https://")
        assert 0 < timeout < 100
        self.asked.append(url)
        return io.BytesIO(self.contents[url.rsplit("/", 1)[-1]])


def fill(folder: Path, spelling: int = 0, *, skip: int | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, (file, content) in enumerate(zip(datasets._MNIST, CONTENTS, strict=True)):
        name = file.spellings[spelling]
        if index != skip:
            (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def check(result: tuple[np.ndarray, ...]) -> None:
    assert len(result) == 4
    for mine, array in zip(result, ARRAYS, strict=True):
        np.testing.assert_array_equal(mine, array, strict=True)


def test_the_four_names() -> None:
    assert datasets._MNIST[0].spellings == (
        "train-images-idx3-ubyte.gz",
        "train-images-idx3-ubyte",
        "train-images.idx3-ubyte",
        "train-images.idx3-ubyte.gz",
    )


@pytest.mark.parametrize("spelling", range(4))
@pytest.mark.parametrize("below", ["", "mnist"])
def test_mnist_from_a_folder(small: Path, tmp_path: Path, spelling: int, below: str) -> None:
    fill(tmp_path / "data" / below, spelling)
    check(mnist(tmp_path / "data"))
    check(mnist(str(tmp_path / "data"), download=False))


@pytest.mark.parametrize("below", ["", "mnist"])
def test_mnist_from_the_variable(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    fill(tmp_path / "data" / below)
    monkeypatch.setenv("XPNET_DATA", str(tmp_path / "data"))
    check(mnist())


def test_mnist_from_the_cache(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(small)
    monkeypatch.setenv("XPNET_DATA", str(tmp_path / "elsewhere"))
    check(mnist(download=False))


def test_mnist_keeps_to_a_given_folder(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(small)
    monkeypatch.setattr(urllib.request, "urlopen", Mirror())
    with pytest.raises(DatasetError, match="looked in"):
        mnist(tmp_path / "empty")


def test_mnist_downloads_once(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror()
    monkeypatch.setattr(urllib.request, "urlopen", mirror)
    check(mnist())
    assert len(mirror.asked) == 4
    assert sorted(os.listdir(small)) == sorted(file.spellings[0] for file in datasets._MNIST)
    check(mnist())
    assert len(mirror.asked) == 4


def test_mnist_downloads_only_what_lacks(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(small, skip=2)
    mirror = Mirror()
    monkeypatch.setattr(urllib.request, "urlopen", mirror)
    check(mnist())
    assert [url.rsplit("/", 1)[-1] for url in mirror.asked] == ["t10k-images-idx3-ubyte.gz"]


@pytest.mark.parametrize(
    "bad", [b"", b"<html>sign in</html>", gzip.compress(CONTENTS[1]), gzip.compress(CONTENTS[0])[:-9]]
)
def test_mnist_goes_on_to_the_second_mirror(small: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes) -> None:
    good, broken = Mirror(), Mirror({"train-images-idx3-ubyte.gz": bad})
    monkeypatch.setattr(
        urllib.request,
        "urlopen",
        lambda url, timeout: (broken if url.startswith(datasets._MIRRORS[0]) else good)(url, timeout),
    )
    check(mnist())
    assert len(good.asked) == 1


def test_mnist_keeps_nothing_wrong(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = idx(ARRAYS[0] ^ 1)
    monkeypatch.setattr(urllib.request, "urlopen", Mirror({"train-images-idx3-ubyte.gz": gzip.compress(wrong)}))
    with pytest.raises(DatasetError, match=r"Downloading them failed.*SHA-256.*SHA-256"):
        mnist()
    assert not small.exists() or not os.listdir(small)


class Endless(io.BytesIO):
    def read1(self, size: int | None = -1, /) -> bytes:
        return bytes(2**20)


class Torn(io.BytesIO):
    def read1(self, size: int | None = -1, /) -> bytes:
        raise http.client.IncompleteRead(b"")


@pytest.mark.parametrize(
    ("response", "patience", "message"),
    [
        (Endless, 180.0, "sends more than 16,777,216 bytes"),
        (Endless, -1.0, "takes longer than"),
        (Torn, 180.0, "breaks off"),
    ],
)
def test_mnist_download_is_limited(
    small: Path, monkeypatch: pytest.MonkeyPatch, response: Any, patience: float, message: str
) -> None:
    monkeypatch.setattr(datasets, "_PATIENCE", patience)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: response())
    with pytest.raises(DatasetError, match=message):
        mnist()


def test_mnist_offline_says_what_to_do(small: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        mnist()
    message = str(caught.value)
    for file in datasets._MNIST:
        assert f"{file.name}.gz" in message
    for part in ("mnist(path)", "XPNET_DATA", str(small), "no network in tests", *datasets._MIRRORS):
        assert part in message
    with pytest.raises(DatasetError, match="download=True"):
        mnist(download=False)
    fill(small, skip=3)
    with pytest.raises(DatasetError, match=r"which lacks t10k-labels-idx1-ubyte\)"):
        mnist(download=False)


def test_mnist_refuses_other_data(small: Path, tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx(ARRAYS[1][::-1]))
    with pytest.raises(DatasetError, match=r"train-labels.*is not MNIST's train-labels-idx1-ubyte.*delete it"):
        mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(10**6, "uint8"))))
    with pytest.raises(DatasetError, match="more than the limit"):
        mnist(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="a file in place of a folder is reported differently on Windows")
def test_mnist_says_when_the_cache_cannot_be_written(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.parent.mkdir(parents=True)
    small.write_bytes(b"in the way")
    monkeypatch.setattr(urllib.request, "urlopen", Mirror())
    with pytest.raises(DatasetError, match=r"cannot be written.*XDG_CACHE_HOME"):
        mnist()


def test_mnist_leaves_no_half_file(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(urllib.request, "urlopen", Mirror())
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DatasetError, match="disk full"):
        mnist()
    assert not os.listdir(small)


@pytest.mark.skipif(os.name == "nt", reason="the XDG folders are not Windows'")
@pytest.mark.parametrize("value", ["", "relative/path"])
def test_cache_folder_ignores_relative_paths(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert datasets._cache_folder() == "/home/somebody/.cache/xpnet/mnist"


@pytest.mark.skipif("XPNET_DATA" not in os.environ, reason="XPNET_DATA is not set: needs the real MNIST")
def test_the_real_mnist() -> None:
    x_train, y_train, x_test, y_test = mnist(download=False)
    assert x_train.shape == (60_000, 28, 28)
    assert x_test.shape == (10_000, 28, 28)
    assert {array.dtype.name for array in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert y_test[:5].tolist() == [7, 2, 1, 0, 4]
    shrunk = digits_11x11(x_train[:1000])
    assert shrunk.shape == (1000, 121)
    assert shrunk.max() == 255


def test_digits_11x11() -> None:
    images = np.arange(2 * 28 * 28, dtype="float64").reshape(2, 28, 28)
    before = images.copy()
    shrunk = digits_11x11(images)
    assert shrunk.shape == (2, 121)
    assert shrunk.dtype == np.float64
    np.testing.assert_array_equal(shrunk[1].reshape(11, 11), images[1, 2:24:2, 2:24:2])
    shrunk[:] = 0
    np.testing.assert_array_equal(images, before)
    with pytest.raises(ShapeError, match=r"\(n, 28, 28\), got \(28, 28\)"):
        digits_11x11(images[0])
    with pytest.raises(DtypeError, match="real numbers"):
        digits_11x11(images.astype(str))


# --- generated sets ----------------------------------------------------------------------------------


def test_spiral_follows_its_formula() -> None:
    x, y = spiral(100, 3, noise=0.0)
    assert x.shape == (300, 2)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(y, np.repeat([0, 1, 2], 100))
    radius = np.linspace(0, 1, 100)
    angle = np.linspace(8, 12, 100)
    np.testing.assert_allclose(x[200:, 0], radius * np.sin(2.5 * angle), atol=1e-15)
    np.testing.assert_allclose(x[200:, 1], radius * np.cos(2.5 * angle), atol=1e-15)


def test_spiral_noise_turns_and_does_not_stretch() -> None:
    x, _ = spiral(100, 3, noise=0.2, seed=4)
    np.testing.assert_allclose(np.hypot(*x.T), np.tile(np.linspace(0, 1, 100), 3), atol=1e-12)
    assert not np.allclose(x, spiral(100, 3, noise=0.0)[0])


def test_clouds_have_their_centres_and_spread() -> None:
    x, y = clouds(5000, deviation=2.0)
    assert x.shape == (15_000, 2)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    for label, center in enumerate([(0, -2), (2, 2), (-2, 2)]):
        np.testing.assert_allclose(x[y == label].mean(axis=0), center, atol=0.1)
        np.testing.assert_allclose(x[y == label].std(axis=0), 2.0, atol=0.1)
    assert clouds(2, centers=[[0.0, 1.0, 2.0]])[0].shape == (2, 3)
    np.testing.assert_array_equal(clouds(1, centers=[[3], [4]], deviation=0)[0], [[3.0], [4.0]])


@pytest.mark.parametrize("make", [spiral, clouds])
def test_generated_sets_are_defined_by_their_seed(make: Any) -> None:
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, again, other = make(seed=1)[0], make(seed=1)[0], make(seed=2)[0]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (spiral, {"points": 0}, ConfigurationError, "points must be a positive integer, got 0"),
        (spiral, {"arms": 1.5}, ConfigurationError, "arms must be .* got 1.5"),
        (spiral, {"noise": -1}, ConfigurationError, "noise must be"),
        (spiral, {"noise": "much"}, ConfigurationError, "noise must be"),
        (spiral, {"seed": "x"}, ConfigurationError, "seed must be"),
        (clouds, {"points": -3}, ConfigurationError, "points"),
        (clouds, {"deviation": np.nan}, ConfigurationError, "deviation"),
        (clouds, {"seed": -1}, ConfigurationError, "seed"),
        (clouds, {"centers": [1, 2]}, ShapeError, r"table \(classes, features\), got shape \(2,\)"),
        (clouds, {"centers": [[1, np.nan]]}, DataError, "finite"),
        (clouds, {"centers": [["a"]]}, DtypeError, "real numbers"),
        (clouds, {"centers": [[]]}, DataError, "not empty"),
    ],
)
def test_generated_sets_refuse(make: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_all_is_right() -> None:
    assert all(hasattr(datasets, name) for name in datasets.__all__)

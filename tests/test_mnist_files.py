from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xpnet import mnist_files
from xpnet.errors import DatasetError
from xpnet.mnist_files import mnist

ARRAYS = [np.random.default_rng(i).integers(0, 255, shape, "uint8") for i, shape in
          enumerate([(6, 28, 28), (6,), (2, 28, 28), (2,)])]  # fmt: skip


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 0x08, array.ndim]) + sizes + array.tobytes()


CONTENTS = [idx(array) for array in ARRAYS]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a tiny set pass for MNIST, with an empty cache, no data folder and no network."""
    files = tuple(
        file._replace(shape=array.shape, sha256=hashlib.sha256(content).hexdigest())
        for file, array, content in zip(mnist_files.FILES, ARRAYS, CONTENTS, strict=True)
    )
    monkeypatch.setattr(mnist_files, "FILES", files)
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
        names = [file.name for file in mnist_files.FILES]
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
    for index, (file, content) in enumerate(zip(mnist_files.FILES, CONTENTS, strict=True)):
        name = file.spellings[spelling]
        if index != skip:
            (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def check(result: tuple[np.ndarray, ...]) -> None:
    assert len(result) == 4
    for mine, array in zip(result, ARRAYS, strict=True):
        np.testing.assert_array_equal(mine, array, strict=True)


def test_the_four_names() -> None:
    assert mnist_files.FILES[0].spellings == (
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
    assert sorted(os.listdir(small)) == sorted(file.spellings[0] for file in mnist_files.FILES)
    check(mnist())
    assert len(mirror.asked) == 4


def test_mnist_downloads_only_what_lacks(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(small, skip=2)
    mirror = Mirror()
    monkeypatch.setattr(urllib.request, "urlopen", mirror)
    check(mnist())
    assert [url.rsplit("/", 1)[-1] for url in mirror.asked] == ["t10k-images-idx3-ubyte.gz"]


@pytest.mark.parametrize(
    "bad",
    [b"", b"<html>sign in</html>", gzip.compress(CONTENTS[1]), gzip.compress(CONTENTS[0])[:-9]],
    ids=["empty", "a page", "another file", "cut short"],
)
def test_mnist_goes_on_to_the_second_mirror(small: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes) -> None:
    good, broken = Mirror(), Mirror({"train-images-idx3-ubyte.gz": bad})
    monkeypatch.setattr(
        urllib.request,
        "urlopen",
        lambda url, timeout: (broken if url.startswith(mnist_files.MIRRORS[0]) else good)(url, timeout),
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
        (Endless, 1e9, "sends more than 16,777,216 bytes"),
        (Endless, -1.0, "takes longer than"),
        (Torn, 1e9, "breaks off"),
    ],
)
def test_mnist_download_is_limited(
    small: Path, monkeypatch: pytest.MonkeyPatch, response: Any, patience: float, message: str
) -> None:
    monkeypatch.setattr(mnist_files, "PATIENCE", patience)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: response())
    with pytest.raises(DatasetError, match=message):
        mnist()


def test_mnist_offline_says_what_to_do(small: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        mnist()
    message = str(caught.value)
    for file in mnist_files.FILES:
        assert f"{file.name}.gz" in message
    for part in ("mnist(path)", "XPNET_DATA", str(small), "no network in tests", *mnist_files.MIRRORS):
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
    with pytest.raises(DatasetError, match=r"cannot be kept.*XDG_CACHE_HOME"):
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
    assert mnist_files._cache_folder() == "/home/somebody/.cache/xpnet/mnist"


@pytest.mark.skipif("XPNET_DATA" not in os.environ, reason="XPNET_DATA is not set: needs the real MNIST")
def test_the_real_mnist() -> None:
    x_train, y_train, x_test, y_test = mnist(download=False)
    assert x_train.shape == (60_000, 28, 28)
    assert x_test.shape == (10_000, 28, 28)
    assert {array.dtype.name for array in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert y_test[:5].tolist() == [7, 2, 1, 0, 4]

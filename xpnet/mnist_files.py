"""Load MNIST: find its four files on this machine or download them, and verify them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from xpnet.arguments import explains_arguments
from xpnet.atomic_write import replace_file
from xpnet.checks import StrPath
from xpnet.errors import DatasetError
from xpnet.idx import CHUNK, Readable, open_idx, read_array, reading, unpacked

__all__ = ["mnist"]

Images: TypeAlias = npt.NDArray[np.uint8]


class _File(NamedTuple):
    """One of the four files: its official name, the shape of its array, and the hash of its uncompressed content."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names under which the file is distributed, the official one first."""
        dotted = self.name.replace("-idx", ".idx")
        return f"{self.name}.gz", self.name, dotted, f"{dotted}.gz"


# Computed from the files that LeCun, Cortes and Burges published as "The MNIST database of handwritten
# digits" (http://yann.lecun.com/exdb/mnist/), over the uncompressed content, since mirrors repack them.
FILES = (
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
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
SILENCE = 20.0  # seconds without a byte after which a mirror counts as dead
PATIENCE = 180.0  # seconds for one file from one mirror: 10 MB at 60 kB/s
LARGEST_DOWNLOAD = 16 * 2**20  # bytes; the largest of the four has 9.6 million


@explains_arguments
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
    x_train, y_train, x_test, y_test = (_read_verified(place, file) for place, file in zip(found, FILES, strict=True))
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
        places = [_find(folder, file) for file in FILES]
        complete = [place for place in places if place is not None]
        if len(complete) == len(FILES):
            return complete
    return None


def _find(folder: str, file: _File) -> str | None:
    places = (os.path.join(folder, name) for name in file.spellings)
    return next(filter(os.path.isfile, places), None)


def _read_verified(place: str, file: _File) -> Images:
    with reading(place), open_idx(place) as (stream, length):
        return _verify(stream, place, file, length)


def _verify(stream: Readable, name: str, file: _File, length: int | None = None) -> Images:
    """Return the array in a stream, after checking that the content is exactly the published one."""
    import hashlib

    # Header and data together are the whole content, so the content's hash needs no second copy of it.
    expected = 4 + 4 * len(file.shape) + math.prod(file.shape)
    array, header = read_array(stream, name, limit=expected, exact=length)
    digest = hashlib.sha256(header)
    digest.update(array.reshape(-1).data)
    if digest.hexdigest() != file.sha256:
        raise DatasetError(
            f"{name}: is not MNIST's {file.name}: the SHA-256 of its content is {digest.hexdigest()}, not "
            f"{file.sha256}; delete it and get it again."
        )
    return array


def _how_to_get_mnist(path: StrPath | None, *, download: bool) -> str:
    names = ", ".join(f"{file.name}.gz" for file in FILES)
    looked = ", ".join(map(_describe, _folders(path)))
    ways = "give their folder as mnist(path), set the variable XPNET_DATA to it"
    allow = "" if download and path is None else "; or call mnist() with download=True and no path"
    return (
        f"MNIST is not on this machine: looked in {looked}. Put its four files ({names}, or the same "
        f"uncompressed) into one folder, then {ways}, or make it {_cache_folder()}{allow}. "
        f"They can be had from {' or '.join(MIRRORS)}."
    )


def _describe(folder: str) -> str:
    """Return the name of a folder, and which files are missing if it has some of them."""
    missing = [file.name for file in FILES if _find(folder, file) is None]
    partly = 0 < len(missing) < len(FILES)
    return f"{folder} (which lacks {', '.join(missing)})" if partly else folder


def _download_mnist() -> list[str]:
    """Download the files that are missing in the cache, and return all four."""
    folder = _cache_folder()
    places = []
    for file in FILES:
        place = _find(folder, file)
        if place is None:
            content = _fetch(file)
            place = os.path.join(folder, f"{file.name}.gz")
            _keep(place, content)
        places.append(place)
    return places


def _fetch(file: _File) -> bytearray:
    """Return the compressed content of a file, verified, from the first mirror that has it."""
    import io

    reasons = []
    for mirror in MIRRORS:
        url = f"{mirror}{file.name}.gz"
        try:
            content = _fetch_url(url)
            with reading(file.name), unpacked(io.BytesIO(content)) as stream:
                _verify(stream, url, file)
        except (OSError, ValueError) as error:
            reasons.append(f"{url}: {error}")
        else:
            return content
    raise DatasetError(f"{_how_to_get_mnist(None, download=True)} Downloading them failed: {'; '.join(reasons)}.")


def _fetch_url(url: str) -> bytearray:
    """Download *url*, within limits of size and time."""
    import http.client
    import time
    import urllib.request

    deadline = time.monotonic() + PATIENCE
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=SILENCE) as response:
            # `read1` returns with what one packet brought, so a slow mirror cannot hold up the clock.
            while chunk := response.read1(CHUNK):
                content += chunk
                if len(content) > LARGEST_DOWNLOAD:
                    raise DatasetError(f"sends more than {LARGEST_DOWNLOAD:,} bytes")
                if time.monotonic() > deadline:
                    raise DatasetError(f"takes longer than {PATIENCE:.0f} s")
    except http.client.HTTPException as error:
        raise DatasetError(f"breaks off ({error!r})") from error
    return content


def _keep(place: str, content: bytearray) -> None:
    """Write a file into the cache atomically, even if two processes do so."""
    path = Path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [memoryview(content)], DatasetError)
    except (OSError, DatasetError) as error:
        raise DatasetError(
            f"what was downloaded cannot be kept ({error}); make that folder writable, set XDG_CACHE_HOME (on "
            "Windows LOCALAPPDATA) to one that is, or put the files in a folder and set XPNET_DATA to it."
        ) from error

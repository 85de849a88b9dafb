"""``xpnet train --checkpoint DIR``: a training that goes on where it was when its process ended, on the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.callbacks import Callback
from xpnet.cli.output import note
from xpnet.errors import DataError
from xpnet.resuming import FILES

__all__ = ["arguments", "guards", "left_in"]

EVERY = "1 minute"
"""How often the state is saved."""


def arguments(folder: Path | None) -> dict[str, Any]:
    """Return what ``fit`` is told; what is in the folder is gone on with, which is told the user."""
    if folder is None:
        return {}
    if found := _newest(folder):
        note(f"going on from {found}")
    return {"checkpoint": folder, "resume": True, "every": EVERY}


def guards(folder: Path | None, *data: Any) -> Iterator[Callback]:
    """Give the callback that refuses other data than a training in the folder was begun with."""
    if folder is not None:
        yield _SameData(folder, data)


def left_in(folder: Path | None) -> str:
    """Say after Ctrl-C what goes on with the training."""
    found = folder and _newest(folder)
    return f"; the same command goes on from {found}" if found else ""


def _newest(folder: Path) -> Path | None:
    return max(folder.glob(FILES), default=None)


class _SameData(Callback):
    """Remembers what the prepared data was, rows and all, by its hash: ``fit`` compares numbers of rows alone."""

    def __init__(self, folder: Path, data: tuple[Any, ...]) -> None:
        self.folder = folder
        self.digest = hashlib.blake2b(digest_size=16)
        for array in data:
            self.digest.update(f"{array.dtype}{array.shape}".encode())
            self.digest.update(np.ascontiguousarray(array).data)

    def state(self) -> Any:
        return {"data": self.digest.hexdigest()}

    def restore(self, state: Any) -> None:
        if state != self.state():
            raise DataError(
                f"--checkpoint {self.folder} holds a training on other data, or on the same prepared in another way; "
                "give the data and the options that it was begun with, or name another folder"
            )

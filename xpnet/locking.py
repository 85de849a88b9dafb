"""A folder that belongs to one process at a time, however that process ends.

The lock is the system's (flock), on a file in the folder: the system lets go of it when the process ends in whatever
way, so what a killed process leaves behind holds nobody up. Where there is no flock (Windows, some network file
systems), or the folder cannot be written to, there is no lock.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from weakref import WeakSet

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked_folder"]

NAME = ".xpnet-run.lock"

_held: WeakSet[IO[bytes]] = WeakSet()
"""The locks of this process. That of a call which Ctrl-C ended before it could let go ends with its file object."""


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold *folder* for this process, and no other thread of it either.

    Raises
    ------
    BlockingIOError
        Somebody holds it.
    """
    path = folder / NAME
    try:
        file = _take(path)
    except BlockingIOError:
        gc.collect()  # what Ctrl-C ended within its last line holds its lock until it is collected
        file = _take(path)
    try:
        yield
    finally:
        if file and file in _held:  # which it is not in a forked child, which may come past here too
            with suppress(OSError):
                path.unlink()
            _held.remove(file)
            file.close()


def _take(path: Path) -> IO[bytes] | None:
    """Return the locked file, None where there can be no lock."""
    if fcntl is None:
        return None
    while True:
        try:
            file = path.open("ab")
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                raise
            return None
        if os.fstat(file.fileno()).st_nlink:
            _held.add(file)
            return file
        file.close()  # whoever had it has removed the file since it was opened here


def _let_go() -> None:
    """Close in a forked child what it has inherited: a worker that outlives the run must not hold its folder."""
    while _held:
        _held.pop().close()


if fcntl is not None:
    os.register_at_fork(after_in_child=_let_go)

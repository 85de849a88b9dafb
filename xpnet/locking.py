"""Lock a folder for one process at a time.

The lock is the operating system's (flock), on a file in the folder. The system releases it however the process
ends, so a killed process leaves nothing behind that blocks others. Where there is no flock (Windows, some network
file systems), or where the folder cannot be written to, nothing is locked.
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
"""The locks that this process holds. A lock that Ctrl-C kept from being released ends with its file object."""


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*, against other processes and other threads of this one.

    Raises
    ------
    BlockingIOError
        Another process or thread holds it.
    """
    path = folder / NAME
    try:
        file = _acquire(path)
    except BlockingIOError:
        gc.collect()  # a call that Ctrl-C ended within its last line may hold its lock until it is collected
        file = _acquire(path)
    try:
        yield
    finally:
        if file and file in _held:  # not so in a forked child, which may also get here
            with suppress(OSError):
                path.unlink()
            _held.remove(file)
            file.close()


def _acquire(path: Path) -> IO[bytes] | None:
    """Return the locked file, or None where locking is not possible."""
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
        file.close()  # its previous holder removed the file after it was opened here


def _release_inherited() -> None:
    """Close inherited locks in a forked child: a worker that outlives the run must not keep its folder locked."""
    while _held:
        _held.pop().close()


if fcntl is not None:
    os.register_at_fork(after_in_child=_release_inherited)

"""Files replaced whole or not at all, and for good: temporary file, fsync, rename, fsync of the folder.

A reader sees the old content or the new one, never a part; so does whoever looks after a crash. What a process that
was killed leaves half written is cleared by the next save into the same folder. While a temporary file is written its
process holds a lock on it (flock), which the system releases when the process ends in whatever way; so a file whose
lock can be had belongs to nobody, and one that is being written is never taken away. Where there is no flock
(Windows), such leftovers stay.

On macOS the drive is told to empty its own memory (F_FULLFSYNC). On Windows there is no fsync of the folder, and a file
that somebody else has open is tried again for a second. What is done there is tested by planting on Linux what these
systems answer; it has not run on them.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xpnet.errors import XpnetError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["replace_file"]

PREFIX, SUFFIX = ".xpnet-", ".tmp"

WINDOWS = os.name == "nt"

UNABLE = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS)
"""What is answered where a file system cannot synchronize a folder, as some of networks and in user space."""

PAUSES = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.4)
"""Seconds between two tries to replace a file that somebody has open: scanners and indexers have it for less."""


def replace_file(path: Path, parts: Iterable[bytes | memoryview], error: type[XpnetError]) -> None:
    """Write *parts*, one after the other, as the new content of *path*, or leave the old.

    The file gets the permissions of the one that it replaces, or those that the umask leaves. A symbolic link is
    replaced itself; what it points to stays as it is.

    Raises
    ------
    error
        There is no such folder, it cannot be written, the disk is full, *path* is no regular file. The old file is
        intact, and the temporary one gone.
    """
    try:
        mode = _mode_of(path)
        with _opened_folder(path.parent) as folder:
            _clear(path.parent)
            _write_and_move(path, parts, mode)
            if folder is not None:
                _synchronize_folder(folder)
    except (OSError, ValueError) as reason:
        said = getattr(reason, "strerror", None) or reason
        if not path.parent.is_dir():
            said = f"there is no folder {path.parent}; make it first, with pathlib.Path(...).mkdir(parents=True)"
        raise error(f"cannot write {path}: {said}") from reason


def _mode_of(path: Path) -> int | None:
    """Return the permissions of the file that is there, None for none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError("Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")  # a device must not be replaced by a file
    return stat.S_IMODE(status.st_mode) & 0o777


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int | None]:
    """Open *folder* before anything is changed; None where the system cannot open folders."""
    if WINDOWS:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _write_and_move(path: Path, parts: Iterable[bytes | memoryview], mode: int | None) -> None:
    temporary, handle = _create(path.parent, 0o666 if mode is None or WINDOWS else mode)
    try:
        with os.fdopen(handle, "wb", closefd=fcntl is None) as file:
            for part in parts:
                file.write(part)
            file.flush()
            if mode is not None and not WINDOWS:
                os.chmod(temporary, mode)  # the umask has taken from it
            _synchronize(file.fileno())
        _move(temporary, path)
        if mode is not None and WINDOWS:
            with suppress(OSError):  # the content is there, and to be told so
                os.chmod(path, mode)  # not before, as what is read-only there can be removed by nobody
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        if fcntl is not None:
            os.close(handle)  # the lock is held until the file has its name


def _move(temporary: Path, path: Path) -> None:
    """Replace *path*; on Windows, try again for a second while somebody has it open."""
    for pause in PAUSES if WINDOWS else ():
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


def _synchronize(handle: int) -> None:
    """Put on the disk what is in memory; fsync of macOS leaves it in the drive's, so there is another call."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # a file system that does not know it
            fcntl.fcntl(handle, full)
            return
    os.fsync(handle)


def _synchronize_folder(handle: int) -> None:
    """Put a folder on the disk, where it can be: a rename is in the folder, and lost with the power until then."""
    try:
        _synchronize(handle)
    except OSError as error:
        if error.errno not in UNABLE:
            raise


def _create(folder: Path, mode: int) -> tuple[Path, int]:
    """Return a new file and its handle, with the lock that says that somebody is writing it."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        path = folder / f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}"
        handle = os.open(path, flags, mode)
        if fcntl is None:
            return path, handle
        try:
            with suppress(OSError):  # a file system without locks: nobody can take one, and nothing is cleared
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return path, handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # another save took it for a leftover before it was locked


def _clear(folder: Path) -> None:
    """Remove temporary files whose writers are no more."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        leftovers = [entry.path for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)]
    for leftover in leftovers:
        with suppress(OSError):  # gone meanwhile, another user's, or being written
            handle = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    os.unlink(leftover)
            finally:
                os.close(handle)

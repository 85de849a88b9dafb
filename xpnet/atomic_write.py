"""Write files atomically and durably: temporary file, fsync, rename, fsync of the folder.

A reader sees the old content or the new one, never a part of it, and so does whoever looks after a crash. While a
temporary file is being written, its process holds a lock on it (flock), which the system releases however the process
ends. So a temporary file whose lock is free is left over from a process that was killed, and the next write into the
same folder removes it. Where there is no flock (Windows), such leftovers stay.

On macOS the drive is told to empty its own cache (F_FULLFSYNC). On Windows a folder cannot be synchronized, and
replacing a file that another program has open is tried again for a second. Tests simulate both systems on Linux; the
code has not run on them.
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

CANNOT_SYNCHRONIZE = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS)
"""Errors of file systems that cannot synchronize a folder, as some network and user-space file systems."""

PAUSES = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.4)
"""Seconds between attempts to replace a file that another program, such as a virus scanner or indexer, has open."""


def replace_file(path: Path, parts: Iterable[bytes | memoryview], error: type[XpnetError]) -> None:
    """Replace the content of *path* by *parts*, one after the other, or leave the file as it was.

    The file gets the permissions of the one that it replaces, or else the default ones. A symbolic link is replaced
    itself; its target stays as it is.

    Raises
    ------
    error
        The folder does not exist or cannot be written, the disk is full, or *path* is not a regular file. The old file
        is intact, and the temporary one is removed.
    """
    try:
        mode = _existing_mode(path)
        with _opened_folder(path.parent) as folder:
            _remove_leftovers(path.parent)
            _write_and_rename(path, parts, mode)
            if folder is not None:
                _synchronize_folder(folder)
    except (OSError, ValueError) as reason:
        said = getattr(reason, "strerror", None) or reason
        if not path.parent.is_dir():
            said = f"there is no folder {path.parent}; make it first, with pathlib.Path(...).mkdir(parents=True)"
        raise error(f"cannot write {path}: {said}") from reason


def _existing_mode(path: Path) -> int | None:
    """Return the permissions of the existing file, or None if there is none."""
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
    """Open *folder* before anything is changed; yield None where the system cannot open folders."""
    if WINDOWS:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _write_and_rename(path: Path, parts: Iterable[bytes | memoryview], mode: int | None) -> None:
    temporary, handle = _create_temporary(path.parent, 0o666 if mode is None or WINDOWS else mode)
    try:
        with os.fdopen(handle, "wb", closefd=fcntl is None) as file:
            for part in parts:
                file.write(part)
            file.flush()
            if mode is not None and not WINDOWS:
                os.chmod(temporary, mode)  # the umask may have removed some
            _synchronize(file.fileno())
        _rename(temporary, path)
        if mode is not None and WINDOWS:
            with suppress(OSError):  # the content has been written, so this is no failure
                os.chmod(path, mode)  # only now, as a read-only file cannot be removed there
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        if fcntl is not None:
            os.close(handle)  # keep the lock until the file has its final name


def _rename(temporary: Path, path: Path) -> None:
    """Replace *path*; on Windows, try again for a second while another program has it open."""
    for pause in PAUSES if WINDOWS else ():
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


def _synchronize(handle: int) -> None:
    """Force the file to the disk; macOS needs a call of its own, as its fsync leaves data in the drive's cache."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # a file system that does not support it
            fcntl.fcntl(handle, full)
            return
    os.fsync(handle)


def _synchronize_folder(handle: int) -> None:
    """Force a folder to the disk where that is possible: until then, a power failure can undo a rename in it."""
    try:
        _synchronize(handle)
    except OSError as error:
        if error.errno not in CANNOT_SYNCHRONIZE:
            raise


def _create_temporary(folder: Path, mode: int) -> tuple[Path, int]:
    """Return a new temporary file and its handle, locked to show that it is being written."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        path = folder / f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}"
        handle = os.open(path, flags, mode)
        if fcntl is None:
            return path, handle
        try:
            with suppress(OSError):  # a file system without locks, where no leftovers are removed either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return path, handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # another process took it for a leftover before it was locked


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes that have ended."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        leftovers = [entry.path for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)]
    for leftover in leftovers:
        with suppress(OSError):  # already gone, another user's, or still being written
            handle = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    os.unlink(leftover)
            finally:
                os.close(handle)

"""Replacing files: the order of the system calls, what failures leave, and leftovers of processes that are no more."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.soak import kill
from xpnet import CheckpointError, atomic_write
from xpnet.atomic_write import replace_file

# The forks save a file and end; they touch none of the libraries whose threads they lack.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]

OLD, NEW = b"old", [b"new ", memoryview(b"content")]
posix = pytest.mark.skipif(os.name == "nt", reason="calls, signals and permissions of POSIX")

REFUSED = 77
"""The exit status of a process that may not become another user's."""


def replace(path: Path, parts: Any = NEW) -> None:
    replace_file(path, parts, CheckpointError)


@pytest.fixture(autouse=True)
def plain_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has another call beside it, which a test of its own plants."""
    monkeypatch.delattr("xpnet.atomic_write.fcntl.F_FULLFSYNC", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def only(path: Path) -> bool:
    """Whether nothing but *path* is in its folder."""
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_content_is_replaced(path: Path) -> None:
    replace(path)
    assert path.read_bytes() == b"new content"
    assert only(path)


# The order of the calls


@posix
def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def note(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def noted(*arguments: Any) -> Any:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            calls.append(f"{name} of the folder" if folder else name)
            if name == "fsync" and not folder:
                assert os.fstat(arguments[0]).st_size == len(b"new content"), "flushed before it is synchronized"
            return real(*arguments)

        return noted

    for name in ("fsync", "replace", "chmod"):
        monkeypatch.setattr(os, name, note(name))
    replace(path)
    assert calls == ["chmod", "fsync", "replace", "fsync of the folder"]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have what differs there, but for what its own calls answer; return the pauses, which are not waited for."""
    pauses: list[float] = []
    monkeypatch.setattr(atomic_write, "WINDOWS", True)
    monkeypatch.setattr(atomic_write, "fcntl", None)
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@posix
def test_on_windows_a_file_is_made_read_only_when_it_has_its_name(
    path: Path, windows: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is read-only there can be removed by nobody, so a save that fails could not clear up."""
    path.chmod(0o444)
    real = os.replace

    def look_and_replace(temporary: Path, path: Path) -> None:
        assert temporary.stat().st_mode & stat.S_IWUSR
        real(temporary, path)

    monkeypatch.setattr(os, "replace", look_and_replace)
    replace(path)
    assert path.read_bytes() == b"new content"
    assert not path.stat().st_mode & stat.S_IWUSR
    assert not windows


@pytest.mark.parametrize("times", [3, 100])
def test_a_file_that_somebody_has_open_on_windows_is_tried_again_for_a_second(
    times: int, path: Path, windows: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = os.replace, iter(range(times))

    def refuse(*arguments: Any) -> None:
        if next(refused, None) is not None:
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        real(*arguments)

    monkeypatch.setattr(os, "replace", refuse)
    if times == 3:
        replace(path)
        assert len(windows) == 3
    else:
        with pytest.raises(CheckpointError, match=r"cannot write .*file: The process cannot access the file"):
            replace(path)
        assert sum(windows) == pytest.approx(1)
    assert windows == sorted(windows)
    assert path.read_bytes() == (b"new content" if times == 3 else OLD)
    assert only(path)


@posix
@pytest.mark.parametrize("known", [True, False])
def test_on_macos_the_drive_is_told_to_empty_its_memory(
    known: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def fcntl(handle: int, operation: int) -> None:
        assert operation == 51
        calls.append("full")
        if not known:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(atomic_write.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(atomic_write.fcntl, "fcntl", fcntl)
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync"))
    replace(path)
    assert calls == (["full", "full"] if known else ["full", "fsync"] * 2)
    assert path.read_bytes() == b"new content"


@posix
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS, errno.EIO])
def test_a_folder_that_cannot_be_synchronized_is_left_alone_and_one_that_fails_is_told(
    code: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if code == errno.EIO:
        with pytest.raises(CheckpointError, match="cannot write"):
            replace(path)
    else:
        replace(path)
        assert path.read_bytes() == b"new content"


SAVE = "import pathlib, sys, xpnet.atomic_write as d; d.replace_file(pathlib.Path(sys.argv[1]), [b'new'], ValueError)"


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace on this machine")
def test_the_kernel_sees_the_same_order(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.mktemp("log") / "calls"
    command = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=write,fsync,fdatasync,rename,renameat,renameat2"]
    run = subprocess.run([*command, sys.executable, "-c", SAVE, str(path)], capture_output=True, text=True, timeout=300)
    if run.returncode and "ptrace" in run.stderr:
        pytest.skip(f"strace may not trace here: {run.stderr.strip()[:200]}")
    assert run.returncode == 0, run.stderr
    ours = [line for line in log.read_text().splitlines() if str(path.parent) in line]
    names = [re.sub(r"^\d+\s+(\w+)\(.*", r"\1", line).replace("renameat2", "rename") for line in ours]
    assert names == ["write", "fsync", "rename", "fsync"]
    assert f"<{path.parent}>)" in ours[-1]


# Failures


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("fsync", errno.ENOSPC),
        ("fsync", errno.EIO),
        ("replace", errno.EACCES),
        pytest.param("chmod", errno.EPERM, marks=posix),
    ],
)
def test_a_call_that_fails_leaves_the_old_file_alone(
    name: str, code: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(CheckpointError, match=f"cannot write .*file: {os.strerror(code)}"):
        replace(path)
    assert path.read_bytes() == OLD
    assert only(path)


def test_an_interruption_while_writing_leaves_the_old_file_alone(path: Path) -> None:
    def parts() -> Any:
        yield b"some"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(path, parts())
    assert path.read_bytes() == OLD
    assert only(path)


def in_a_fork(function: Callable[[], None]) -> int:
    """Run *function* in a fork, and return the exit status; it has no threads of ours to miss."""
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    process.join(300)
    assert process.exitcode is not None
    return process.exitcode


@posix
def test_a_disk_that_is_full_leaves_the_old_file_alone(path: Path) -> None:
    """The kernel itself refuses bytes beyond a limit."""

    def save() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(CheckpointError, match="File too large"):
            replace(path, [bytes(300_000)])

    assert in_a_fork(save) == 0
    assert path.read_bytes() == OLD
    assert only(path)


@posix
@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount on this machine")
def test_a_small_disk_that_is_full(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        replace(tmp_path / "file", [OLD])
        with pytest.raises(CheckpointError, match="No space left on device"):
            replace(tmp_path / "file", [bytes(100_000)])
        assert (tmp_path / "file").read_bytes() == OLD
        assert only(tmp_path / "file")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@posix
def test_a_folder_that_may_not_be_written_leaves_the_old_file_alone() -> None:
    """Root may write anywhere, so a process of nobody's tries, in a folder that nobody can reach."""

    def save() -> None:
        if os.geteuid() == 0:
            try:
                os.setuid(65534)
            except OSError:
                sys.exit(REFUSED)
        with pytest.raises(CheckpointError, match=r"cannot write .*Permission denied"):
            replace(path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(OLD)
        os.chmod(folder, 0o555)
        try:
            status = in_a_fork(save)
        finally:
            os.chmod(folder, 0o755)
        if status == REFUSED:
            pytest.skip("root may not become nobody in this container")
        assert status == 0
        assert path.read_bytes() == OLD
        assert only(path)


@posix
def test_sigterm_while_writing_leaves_the_old_file_alone_and_the_next_save_clears_up(path: Path) -> None:
    def parts() -> Any:
        yield b"some"
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    assert in_a_fork(lambda: replace(path, parts())) == -signal.SIGTERM
    assert path.read_bytes() == OLD
    assert not only(path)
    replace(path)
    assert path.read_bytes() == b"new content"
    assert only(path)


@posix
def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="no regular file"):
        replace(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@posix
def test_a_link_is_replaced_and_not_what_it_points_to(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    replace(link)
    assert (path.read_bytes(), link.read_bytes(), link.is_symlink()) == (OLD, b"new content", False)


# Leftovers


def test_a_save_that_is_being_written_is_not_taken_for_a_leftover(path: Path) -> None:
    def parts() -> Any:
        yield b"slow "
        replace(path.with_name("other"))  # clears the folder meanwhile
        yield b"content"

    replace(path, parts())
    assert path.read_bytes() == b"slow content"


@posix
def test_a_file_that_is_cleared_before_it_is_locked_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    real, taken = fcntl.flock, []

    def flock(handle: int, operation: int) -> None:
        if not taken:
            (leftover,) = path.parent.glob(".xpnet-*.tmp")
            taken.append(leftover)
            leftover.unlink()
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    replace(path)
    assert path.read_bytes() == b"new content"
    assert only(path)


@posix
def test_only_temporary_files_of_ours_are_cleared(path: Path) -> None:
    others = [".xpnet-notes.txt", "xpnet-1.tmp", ".xpnet-folder.tmp"]
    for name in others[:2]:
        path.with_name(name).write_bytes(b"")
    path.with_name(others[2]).mkdir()
    path.with_name(".xpnet-0123.tmp").write_bytes(b"")
    replace(path)
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, *others}


@posix
def test_a_pipe_among_the_leftovers_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path.with_name(".xpnet-pipe.tmp"))
    replace(path)
    assert path.read_bytes() == b"new content"


# kill -9; thousands of them: python -m tests.soak.kill


@posix
def test_a_save_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    found = kill.run(40, 1, tmp_path, longest=0.1)
    assert found["saves finished"]

"""A folder is one holder's at a time, and free again however that one ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.pressing import press
from xpnet import locking
from xpnet.locking import locked_folder

fcntl = pytest.importorskip("fcntl", reason="Windows has no flock")
closed_with_its_object = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_a_folder_is_held_once_and_left_as_it_was(tmp_path: Path) -> None:
    for _ in range(2):
        with locked_folder(tmp_path):
            with pytest.raises(BlockingIOError), locked_folder(tmp_path):
                pass
            with pytest.raises(BlockingIOError), locked_folder(tmp_path):  # the one that was refused took nothing away
                pass
        assert list(tmp_path.iterdir()) == []
    assert not locking._held


@closed_with_its_object
def test_control_c_at_any_line_leaves_the_folder_free(tmp_path: Path) -> None:
    def hold() -> None:
        with locked_folder(tmp_path):
            pass

    for line in count(1):
        if press(hold, line, lambda code: code.co_filename == locking.__file__) < line:
            break
        hold()
    assert line > 10


@closed_with_its_object
def test_what_has_ended_without_letting_go_is_collected(tmp_path: Path) -> None:
    class Holder:
        def __init__(self) -> None:
            self.stack, self.itself = ExitStack(), self
            self.stack.enter_context(locked_folder(tmp_path))

    Holder()
    with locked_folder(tmp_path):
        pass


def test_what_a_killed_process_leaves_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / locking.NAME).touch()
    with locked_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_holder_has_removed_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking the holder ends: the lock must be on the file that is there for the next one."""
    lock, removed = fcntl.flock, []

    def late(file: Any, how: int) -> None:
        if not removed:
            removed.append((tmp_path / locking.NAME).unlink())
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked_folder(tmp_path), pytest.raises(BlockingIOError), locked_folder(tmp_path):
        pass
    assert removed


def test_without_locks_nothing_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: Any, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with locked_folder(tmp_path), locked_folder(tmp_path):
            pass
    with monkeypatch.context() as patch:
        patch.setattr(locking, "fcntl", None)
        with locked_folder(tmp_path), locked_folder(tmp_path):
            pass
    with locked_folder(tmp_path / "missing"):
        pass


FORKS = """
import os, sys
from pathlib import Path
from xpnet import locking

folder = Path(sys.argv[1])
with locking.locked_folder(folder):
    if os.fork() == 0:
        os._exit(bool(locking._held))
    print(os.wait()[1], flush=True)
    if os.fork() == 0:
        sys.exit()  # comes past the end of the block, as the child of a careless program may
    print(os.wait()[1], (folder / locking.NAME).exists())
"""


def test_a_forked_child_lets_go_and_takes_nothing_away(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FORKS, tmp_path], capture_output=True, text=True, timeout=300, check=True
    )
    assert found.stdout.split() == ["0", "0", "True"]


def test_whoever_has_let_go_takes_nothing_away_from_the_next(tmp_path: Path) -> None:
    with locked_folder(tmp_path):
        locking._release_inherited()  # from here on as in a child
        held = locked_folder(tmp_path)
        held.__enter__()
    assert (tmp_path / locking.NAME).exists()
    held.__exit__(None, None, None)

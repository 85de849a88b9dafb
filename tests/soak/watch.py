"""An audit hook that notes what loading a file must never do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

FORBIDDEN = (
    "import", "exec", "compile", "pickle.", "marshal.", "socket.", "subprocess.", "os.", "shutil.", "ctypes.",
    "urllib.", "http.", "tempfile.", "webbrowser.", "builtins.input", "code.__new__", "function.__new__", "mmap.",
    "sqlite3.",
)  # fmt: skip
"""Beginnings of the events' names: https://docs.python.org/3/library/audit_events.html"""


class Watch:
    """Notes in ``seen``, while it is entered, each forbidden event and each file opened but *path*.

    Hooks cannot be removed, so a process makes one of these.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.seen, self.on = os.fspath(path), list[str](), False
        sys.addaudithook(self._note)

    def __enter__(self) -> Watch:
        self.on = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.on = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        foreign = event == "open" and arguments[0] not in (self.path, None) and not isinstance(arguments[0], int)
        if foreign or event.startswith(FORBIDDEN):
            self.seen.append(f"{event}{arguments[:2]!r}"[:200])

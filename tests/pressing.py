"""Press Ctrl-C between two chosen lines of a run, as a signal may come there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any


def press(run: Callable[[], object], line: int, chosen: Callable[[CodeType], bool]) -> int:
    """Interrupt *run* before the line of chosen functions that is executed as the *line*-th (0: none).

    Return how many were executed: fewer than *line* where the run has ended before.
    """
    seen = 0

    def within(frame: Any, event: str, _: object) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == line:
                sys.settrace(None)
                raise KeyboardInterrupt
        return within

    before = sys.gettrace()
    sys.settrace(lambda frame, event, _: within if chosen(frame.f_code) else None)
    try:
        run()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return seen

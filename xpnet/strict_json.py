"""JSON for files: each value has exactly one text, and a text that two readers might read differently is refused.

Beyond what ``json`` refuses, reading refuses NaN and infinity, numbers beyond the range of a double, integers with more
digits than any seed has, a name that occurs twice, and deep nesting.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

__all__ = ["read_json", "write_json"]

MAX_DEPTH = 64
"""Most lists and mappings inside one another; a container of layers takes two."""

MAX_DIGITS = 80
"""Most characters of an integer: a seed of 256 bits has 78."""


def read_json(text: str) -> Any:
    """Return the value, or raise ValueError."""
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_real, parse_constant=_no_number
        )
        _check_depth(value, MAX_DEPTH)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return value


def write_json(value: Any) -> str:
    """Return the text of *value*, with sorted names and no spaces; raise ValueError if it could not be read back."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False)
    read_json(text)
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in one JSON object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} characters; at most {MAX_DIGITS} are read")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"the number {digits[:MAX_DIGITS]} is beyond all floats")
    return number


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _check_depth(value: Any, allowed: int) -> None:
    if not allowed:
        raise ValueError(f"the JSON is nested too deeply; {MAX_DEPTH} levels are read")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(child, dict | list):
            _check_depth(child, allowed - 1)

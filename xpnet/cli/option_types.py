"""Types of command-line options: functions that read the text of an option, and some that write it for advice."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any

from xpnet.cli.cells import MISSING, THOUSANDS
from xpnet.extras import quoted

__all__ = [
    "as_option",
    "character",
    "count",
    "device",
    "encoding",
    "folder",
    "keep_option",
    "missing_words",
    "names",
    "part",
    "positive",
    "share",
    "sizes",
    "spell_separator",
    "thousands",
    "threshold",
    "whole",
]

SPELLED = {"": "none", " ": "space", "'": "apostrophe"}
"""Names for option values that are hard to see, or to pass through a shell."""


def as_option(option: str, values: Iterable[str]) -> str:
    """Return an option with a list of texts as :func:`names` reads it, quoted for a shell.

    >>> print(as_option("--drop", ["size", "price"]), as_option("--missing", ["-x"]))
    --drop size,price --missing=-x
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(list(values))
    value = line.getvalue()
    return f"{option}{'=' if value.startswith('-') else ' '}{quoted(value)}"


def keep_option(texts: Iterable[str]) -> str:
    """Return the ``--keep`` option for texts, each once whatever its case.

    >>> print(keep_option(["None", "NA", "none"]))
    --keep none,NA
    """
    return as_option("--keep", {text.lower(): text for text in texts}.values())


def spell_separator(mark: str) -> str:
    """Return a separator as the value of an option: by its name, or quoted for a shell."""
    return SPELLED.get(mark) or quoted(mark)


def character(text: str) -> str:
    """Read a delimiter; ``tab``, or a backslash and t, stands for a tab."""
    found = "\t" if text in ("\\t", "tab") else text
    if len(found) != 1 or found in '\r\n"':
        raise argparse.ArgumentTypeError(f"must be one character, or tab; got {text!r}")
    return found


def thousands(text: str) -> str:
    """Read a thousands separator; a space, an apostrophe and none are written by name."""
    found = next((mark for mark, name in SPELLED.items() if name == text), text)
    if found not in ("", *THOUSANDS):
        expected = " or ".join(map(spell_separator, (*THOUSANDS, "")))
        raise argparse.ArgumentTypeError(f"must be {expected}; got {text!r}")
    return found


def encoding(text: str) -> str:
    """Read the name of a text encoding."""
    try:
        "".encode(text)
    except LookupError:
        raise argparse.ArgumentTypeError(f"must be one that Python knows, such as cp1252; got {text!r}") from None
    return text


def count(text: str) -> int:
    """Read an integer from 1 on."""
    return _integer(text, 1)


def whole(text: str) -> int:
    """Read an integer from 0 on."""
    return _integer(text, 0)


def positive(text: str) -> float:
    """Read a finite number above 0."""
    return _real(text, lambda value: value > 0, "a number above 0")


def share(text: str) -> float:
    """Read a number in [0, 1)."""
    return _real(text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def part(text: str) -> float | int:
    """Read a part of the rows: a count, or a share if there is a decimal point."""
    return share(text) if "." in text else whole(text)


def threshold(text: str) -> tuple[str, float]:
    """Read a class, an equals sign, and the probability from which on the class is predicted.

    >>> threshold("yes=0.3")
    ('yes', 0.3)
    """
    name, separator, least = text.rpartition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"must be CLASS=P, as in yes=0.3; got {text!r}")
    return name.strip(), _real(least, lambda value: 0 < value < 1, "CLASS=P with P between 0 and 1, as in yes=0.3")


def sizes(text: str) -> tuple[int, ...]:
    """Read integers from 1 on, separated by commas; an empty text gives none."""
    try:
        return tuple(map(count, text.split(","))) if text else ()
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be integers of at least 1 with commas and no spaces between, as in 64,32; got {text!r}"
        ) from None


def names(text: str) -> tuple[str, ...]:
    """Read texts separated by commas; a text that contains a comma is written in double quotes."""
    return tuple(name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row if name.strip())


def missing_words(text: str) -> tuple[str, ...]:
    """Read words from the list of those that stand for a missing value."""
    found = names(text)
    for name in found:
        if name.lower() not in MISSING:
            expected = ", ".join(sorted(MISSING - {""}))
            raise argparse.ArgumentTypeError(
                f"must be of {expected}, as all other texts are values anyway; got {name!r}"
            )
    return found


def folder(text: str) -> Path:
    """Read a folder's path."""
    if not text:
        raise argparse.ArgumentTypeError("must be a folder's name; got ''")
    return Path(text)


def device(text: str) -> Any:
    """Read a device: a number, or a name."""
    return int(text) if text.isdecimal() else text


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be an integer of at least {least}; got {text!r}")
    return value


def _real(text: str, allowed: Callable[[float], bool], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not allowed(value):
        raise argparse.ArgumentTypeError(f"must be {expected}; got {text!r}")
    return value

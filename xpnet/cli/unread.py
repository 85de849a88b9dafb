"""Numbers in a column of text that a reader of its notation does not see: told, with the options that mend it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from xpnet.cli.cells import DECIMALS, THOUSANDS, Notation
from xpnet.cli.recognition import NEARLY_ALL, examples
from xpnet.cli.signs import DOUBTFUL, rewritten, way
from xpnet.cli.tables import Table, listed, plural
from xpnet.cli.values import as_option, spelled
from xpnet.errors import DataError
from xpnet.records import record

__all__ = ["Unread", "require_read", "unread_numbers"]

LOOKED_AT = 2000
"""Different texts of a column that are looked at."""

MOST_WORDS = 5
"""Different texts between numbers up to which they may stand for missing values."""

MOST_CATEGORIES_OF_NUMBERS = 20
"""Different numbers up to which, mixed with other texts, they may be categories, as in 0, 1, 2, 3+."""

AFFIXES = re.compile(
    r"[+-]?(?P<before>[^\d\s.,+-]*)\s*(?P<number>[+-]?[\d.,' \u00a0\u202f]*\d)\s*(?P<after>[^\d\s]{0,3})"
)
INSIDE = re.compile(r"\d[^\d\s]\d")
"""What stands inside a number, before fractions or between thousands, and hardly in the number of a label."""

CURRENCIES = frozenset(["aud", "cad", "chf", "cny", "dkk", "eur", "gbp", "inr", "jpy", "nok", "pln", "sek", "usd"])


@record
class Unread:
    """Numbers that are not seen as such.

    Attributes
    ----------
    what : str
        What is about them.
    options : str
        What has them read; empty where their cells have to be rewritten.
    examples : str
        A few of them.
    remedy : str
        The options, and what they change; or how to rewrite a cell.
    """

    what: str
    options: str
    examples: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} ({self.examples}): {self.remedy}"


def require_read(table: Table, names: Iterable[str]) -> None:
    """Raise DataError where columns of text are numbers that a reader of this notation does not see.

    Silently they would be categories, and each number a world of its own.
    """
    texts = [name for name in names if not isinstance(table.column(name), np.ndarray) and table.numbers(name) is None]
    found = {name: unread for name in texts if (unread := unread_numbers(table, name)) is not None}
    alike: dict[tuple[str, str], list[str]] = {}
    for name, unread in found.items():
        alike.setdefault((unread.what, unread.options), []).append(name)
    said = [
        (f"columns {listed(group)} hold" if len(group) > 1 else f"column {group[0]!r} holds") + f" {found[group[0]]}"
        for group in alike.values()
    ]
    if said:
        raise DataError(
            f"in {table.source}, {'; '.join(said)}; or take as text with {as_option('--categorical', found)}, "
            f"or leave out with {as_option('--drop', found)}"
        )


def unread_numbers(table: Table, name: str) -> Unread | None:
    """Return what nearly all of a column's texts are but for their notation; None where they are no such numbers."""
    notation = table.notation
    counts = Counter(text for text in table.texts(name) if text is not None and not notation.is_kept(text))
    cells = list(counts)[:LOOKED_AT]
    strange = [cell for cell in cells if not _is_number(cell, notation)]
    if not strange:
        return None
    signs = _signs(cells, strange, notation)
    if signs is not None:
        return signs
    options, change = _change(cells, notation)
    if options:
        shown = examples([cell for cell in strange if any(map(str.isdigit, cell))])
        return Unread("numbers in another notation", options, shown, f"give {change}")
    words = [text for text in counts if not _is_number(text, notation)]
    if len(words) <= MOST_WORDS and len(cells) - len(words) > MOST_CATEGORIES_OF_NUMBERS:
        option = as_option("--missing", [*notation.missing, *words])
        places = f"the first in {table.place(table.texts(name).index(words[0]))}"
        rows = ", ".join(f"{word!r} in {plural(counts[word], 'row')}" for word in words)
        remedy = f"correct them, or give {option} if they stand for missing values"
        return Unread("numbers and words", option, f"{rows}; {places}", remedy)
    unit = _unit(cells, notation)
    if unit is None:
        return None
    with_unit = replace(notation, units=(*notation.units, unit))
    options, change = _change(cells, with_unit)
    option = as_option("--units", with_unit.units)
    return Unread(f"numbers with {unit!r}", f"{option} {options}", examples(cells), f"give {option} {change}".rstrip())


def _signs(cells: Sequence[str], strange: Sequence[str], notation: Notation) -> Unread | None:
    """Return what is about numbers whose signs or exponents are to be rewritten, in whichever notation the rest is."""
    if all(rewritten(cell) == cell for cell in strange):
        return None
    plain = {cell: rewritten(cell) for cell in cells}
    reading = _reading(list(plain.values()), notation)
    changed = [cell for cell in strange if plain[cell] != cell and _is_number(plain[cell], reading)]
    if not changed or _share(list(plain.values()), reading) < NEARLY_ALL:
        return None
    what = way(changed[0])
    if what in DOUBTFUL:
        among_numbers = any(plain[cell] == cell and _is_number(cell, reading) for cell in cells)
        fractions = any(INSIDE.search(plain[cell]) for cell in changed)
        many = len(cells) > MOST_CATEGORIES_OF_NUMBERS
        as_given = (reading.decimal, reading.thousands) == (notation.decimal, notation.thousands)
        if not (among_numbers and (fractions or many)) and not (fractions and many and as_given):
            return None
    return Unread(what, "", examples(changed), f"write {plain[changed[0]]!r} for {changed[0]!r}, and so on")


def _reading(cells: Sequence[str], notation: Notation) -> Notation:
    """Return the notation that reads most texts, the given one rather than another, with their unit."""
    readings = [notation, *_notations(notation)]
    unit = _unit(cells, notation)
    if unit is not None:
        readings += [replace(other, units=(*other.units, unit)) for other in readings]
    return max(readings, key=lambda other: _share(cells, other))


def _notations(notation: Notation) -> list[Notation]:
    """Return the others, the simplest first."""
    pairs = [(decimal, thousands) for thousands in ("", *THOUSANDS) for decimal in DECIMALS if decimal != thousands]
    others = [replace(notation, decimal=decimal, thousands=thousands) for decimal, thousands in pairs]
    return [other for other in others if other != notation]


def _is_number(text: str, notation: Notation) -> bool:
    try:
        notation.number(text)
    except ValueError:
        return False
    return True


def _share(cells: Sequence[str], notation: Notation) -> float:
    return sum(_is_number(cell, notation) for cell in cells) / len(cells)


def _change(cells: Sequence[str], notation: Notation) -> tuple[str, str]:
    """Return the options for the notation that reads nearly all texts, and in words what they change; or nothing.

    Where a simple notation and another read the same texts as different numbers, the words have both.
    """
    shares = {other: _share(cells, other) for other in _notations(notation)}
    most = max(shares.values())
    if most < NEARLY_ALL or most <= _share(cells, notation):
        return "", ""
    simplest, *others = [other for other, share in shares.items() if share == most]
    example = next(cell for cell in cells if _is_number(cell, simplest) and not _is_number(cell, notation))
    values = {other: other.number(example) for other in (simplest, *others) if _is_number(example, other)}
    rivals = [other for other, value in values.items() if value != values[simplest]]
    options = {_changes(other, notation): values[other] for other in (simplest, *rivals[:1])}
    read = (f"{option} to read {example!r} as {value:.15g}" for option, value in options.items())
    return " ".join(options), " or ".join(read)


def _changes(other: Notation, notation: Notation) -> str:
    changed = []
    if other.decimal != notation.decimal:
        changed.append(f"--decimal {other.decimal}")
    if other.thousands != notation.thousands:
        changed.append(f"--thousands {spelled(other.thousands)}")
    return " ".join(changed)


def _unit(cells: Sequence[str], notation: Notation) -> str | None:
    """Return the currency, per cent or unit that nearly all texts have at a number, in whichever notation."""
    matches = [match for cell in cells if (match := AFFIXES.fullmatch(cell))]
    signs = Counter((match["before"], match["after"]) for match in matches)
    (before, after), count = signs.most_common(1)[0] if signs else (("", ""), 0)
    unit = before or after
    if count < NEARLY_ALL * len(cells) or unit in ("", "-") or (before and (after or not _is_currency(before))):
        return None
    if unit.isalpha() and not _is_currency(unit) and len(cells) <= MOST_CATEGORIES_OF_NUMBERS:
        return None
    numbers = [match["number"].strip() for match in matches]
    return unit if any(_share(numbers, other) >= NEARLY_ALL for other in (notation, *_notations(notation))) else None


def _is_currency(text: str) -> bool:
    return text.lower() in CURRENCIES or all(unicodedata.category(character) == "Sc" for character in text)

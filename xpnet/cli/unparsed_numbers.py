"""Find columns of text that hold numbers in another notation, and say which options would read them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from xpnet.cli.cells import DECIMALS, THOUSANDS, Notation
from xpnet.cli.number_signs import AMBIGUOUS, describe_sign, rewrite_sign
from xpnet.cli.option_types import as_option, spell_separator
from xpnet.cli.tables import Table, listed, plural
from xpnet.cli.text_columns import NEARLY_ALL, examples
from xpnet.errors import DataError
from xpnet.records import record

__all__ = ["UnparsedNumbers", "find_unparsed_numbers", "require_parsed"]

MOST_EXAMINED = 2000
"""Different texts of a column that are examined."""

MOST_WORDS = 5
"""Up to so many different texts among numbers may stand for missing values."""

MOST_CATEGORIES_OF_NUMBERS = 20
"""Up to so many different numbers, mixed with other texts, may be categories, as in 0, 1, 2, 3+."""

AFFIXES = re.compile(
    r"[+-]?(?P<before>[^\d\s.,+-]*)\s*(?P<number>[+-]?[\d.,' \u00a0\u202f]*\d)\s*(?P<after>[^\d\s]{0,3})"
)
INSIDE = re.compile(r"\d[^\d\s]\d")
"""A separator inside a number, before decimals or between thousands, as labels with a number hardly have."""

CURRENCIES = frozenset(["aud", "cad", "chf", "cny", "dkk", "eur", "gbp", "inr", "jpy", "nok", "pln", "sek", "usd"])


@record
class UnparsedNumbers:
    """Numbers in a column of text that could not be read as numbers.

    Attributes
    ----------
    what : str
        What is special about them.
    options : str
        The options that would read them; empty if the cells have to be rewritten.
    examples : str
        A few of them.
    remedy : str
        Advice: the options and what they change, or how to rewrite a cell.
    """

    what: str
    options: str
    examples: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} ({self.examples}): {self.remedy}"


def require_parsed(table: Table, names: Iterable[str]) -> None:
    """Raise DataError if columns of text hold numbers that the table's notation cannot read.

    They would otherwise become categories, one for each different number.
    """
    texts = [name for name in names if not isinstance(table.column(name), np.ndarray) and table.numbers(name) is None]
    found = {name: unparsed for name in texts if (unparsed := find_unparsed_numbers(table, name)) is not None}
    alike: dict[tuple[str, str], list[str]] = {}
    for name, unparsed in found.items():
        alike.setdefault((unparsed.what, unparsed.options), []).append(name)
    said = [
        (f"columns {listed(group)} hold" if len(group) > 1 else f"column {group[0]!r} holds") + f" {found[group[0]]}"
        for group in alike.values()
    ]
    if said:
        raise DataError(
            f"in {table.source}, {'; '.join(said)}; or take as text with {as_option('--categorical', found)}, "
            f"or leave out with {as_option('--drop', found)}"
        )


def find_unparsed_numbers(table: Table, name: str) -> UnparsedNumbers | None:
    """Return what keeps nearly all texts of a column from being read as numbers; None if they are not numbers."""
    notation = table.notation
    counts = Counter(text for text in table.texts(name) if text is not None and not notation.is_kept(text))
    cells = list(counts)[:MOST_EXAMINED]
    strange = [cell for cell in cells if not _is_number(cell, notation)]
    if not strange:
        return None
    unusual_signs = _find_unusual_signs(cells, strange, notation)
    if unusual_signs is not None:
        return unusual_signs
    options, change = _notation_options(cells, notation)
    if options:
        shown = examples([cell for cell in strange if any(map(str.isdigit, cell))])
        return UnparsedNumbers("numbers in another notation", options, shown, f"give {change}")
    words = [text for text in counts if not _is_number(text, notation)]
    if len(words) <= MOST_WORDS and len(cells) - len(words) > MOST_CATEGORIES_OF_NUMBERS:
        option = as_option("--missing", [*notation.missing, *words])
        location = f"the first in {table.location(table.texts(name).index(words[0]))}"
        rows = ", ".join(f"{word!r} in {plural(counts[word], 'row')}" for word in words)
        remedy = f"correct them, or give {option} if they stand for missing values"
        return UnparsedNumbers("numbers and words", option, f"{rows}; {location}", remedy)
    unit = _common_unit(cells, notation)
    if unit is None:
        return None
    with_unit = replace(notation, units=(*notation.units, unit))
    options, change = _notation_options(cells, with_unit)
    option = as_option("--units", with_unit.units)
    return UnparsedNumbers(
        f"numbers with {unit!r}", f"{option} {options}", examples(cells), f"give {option} {change}".rstrip()
    )


def _find_unusual_signs(cells: Sequence[str], strange: Sequence[str], notation: Notation) -> UnparsedNumbers | None:
    """Return the finding for numbers whose signs or exponents must be rewritten, whatever their notation otherwise."""
    if all(rewrite_sign(cell) == cell for cell in strange):
        return None
    plain = {cell: rewrite_sign(cell) for cell in cells}
    reading = _best_notation(list(plain.values()), notation)
    changed = [cell for cell in strange if plain[cell] != cell and _is_number(plain[cell], reading)]
    if not changed or _readable_share(list(plain.values()), reading) < NEARLY_ALL:
        return None
    what = describe_sign(changed[0])
    if what in AMBIGUOUS:
        among_numbers = any(plain[cell] == cell and _is_number(cell, reading) for cell in cells)
        fractions = any(INSIDE.search(plain[cell]) for cell in changed)
        many = len(cells) > MOST_CATEGORIES_OF_NUMBERS
        as_given = (reading.decimal, reading.thousands) == (notation.decimal, notation.thousands)
        if not (among_numbers and (fractions or many)) and not (fractions and many and as_given):
            return None
    return UnparsedNumbers(what, "", examples(changed), f"write {plain[changed[0]]!r} for {changed[0]!r}, and so on")


def _best_notation(cells: Sequence[str], notation: Notation) -> Notation:
    """Return the notation that reads most texts, with their unit; the given one if another is no better."""
    readings = [notation, *_other_notations(notation)]
    unit = _common_unit(cells, notation)
    if unit is not None:
        readings += [replace(other, units=(*other.units, unit)) for other in readings]
    return max(readings, key=lambda other: _readable_share(cells, other))


def _other_notations(notation: Notation) -> list[Notation]:
    """Return all other notations, the simplest first."""
    pairs = [(decimal, thousands) for thousands in ("", *THOUSANDS) for decimal in DECIMALS if decimal != thousands]
    others = [replace(notation, decimal=decimal, thousands=thousands) for decimal, thousands in pairs]
    return [other for other in others if other != notation]


def _is_number(text: str, notation: Notation) -> bool:
    try:
        notation.number(text)
    except ValueError:
        return False
    return True


def _readable_share(cells: Sequence[str], notation: Notation) -> float:
    return sum(_is_number(cell, notation) for cell in cells) / len(cells)


def _notation_options(cells: Sequence[str], notation: Notation) -> tuple[str, str]:
    """Return the options for a notation that reads nearly all texts, and what they do in words; or two empty texts.

    If two notations read the same texts as different numbers, the words offer both.
    """
    shares = {other: _readable_share(cells, other) for other in _other_notations(notation)}
    most = max(shares.values())
    if most < NEARLY_ALL or most <= _readable_share(cells, notation):
        return "", ""
    simplest, *others = [other for other, share in shares.items() if share == most]
    example = next(cell for cell in cells if _is_number(cell, simplest) and not _is_number(cell, notation))
    values = {other: other.number(example) for other in (simplest, *others) if _is_number(example, other)}
    rivals = [other for other, value in values.items() if value != values[simplest]]
    options = {_options_between(other, notation): values[other] for other in (simplest, *rivals[:1])}
    read = (f"{option} to read {example!r} as {value:.15g}" for option, value in options.items())
    return " ".join(options), " or ".join(read)


def _options_between(other: Notation, notation: Notation) -> str:
    changed = []
    if other.decimal != notation.decimal:
        changed.append(f"--decimal {other.decimal}")
    if other.thousands != notation.thousands:
        changed.append(f"--thousands {spell_separator(other.thousands)}")
    return " ".join(changed)


def _common_unit(cells: Sequence[str], notation: Notation) -> str | None:
    """Return the currency, per cent sign or unit that nearly all texts have beside a number, in any notation."""
    matches = [match for cell in cells if (match := AFFIXES.fullmatch(cell))]
    signs = Counter((match["before"], match["after"]) for match in matches)
    (before, after), count = signs.most_common(1)[0] if signs else (("", ""), 0)
    unit = before or after
    if count < NEARLY_ALL * len(cells) or unit in ("", "-") or (before and (after or not _is_currency(before))):
        return None
    if unit.isalpha() and not _is_currency(unit) and len(cells) <= MOST_CATEGORIES_OF_NUMBERS:
        return None
    numbers = [match["number"].strip() for match in matches]
    return (
        unit
        if any(_readable_share(numbers, other) >= NEARLY_ALL for other in (notation, *_other_notations(notation)))
        else None
    )


def _is_currency(text: str) -> bool:
    return text.lower() in CURRENCIES or all(unicodedata.category(character) == "Sc" for character in text)

"""What cells say: numbers, texts or nothing, in each notation."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from xpnet.cli.cells import Notation, numbers, texts

LARGE = 2**53


def test_numbers_and_texts() -> None:
    np.testing.assert_array_equal(numbers(["1", " 2e3 ", "NaN", "?", ""]), [1, 2000, np.nan, np.nan, np.nan])
    assert numbers(["1", "x"]) is None
    assert numbers(["1_000"]) is None
    assert texts([" a ", "N/A", None]) == ["a", None, None]
    assert texts(np.asarray([1, 2])) == ["1", "2"]
    assert texts(np.asarray([1.0, np.nan, 0.5])) == ["1", None, "0.5"]


def test_large_floats_are_written_in_full() -> None:
    assert texts(np.asarray([float(LARGE), -1e16, np.inf, np.nan, 0.1])) == [
        "9007199254740992", "-10000000000000000", "inf", None, "0.1",
    ]  # fmt: skip


GERMAN, SWISS, FRENCH = Notation(",", "."), Notation(".", "'"), Notation(",", " ")
ENGLISH = Notation(".", ",")


@pytest.mark.parametrize(
    ("notation", "text", "value"),
    [
        (Notation(","), "3,14", 3.14),
        (Notation(","), " -0,5e-3 ", -0.0005),
        (Notation(","), ",5", 0.5),
        (Notation(","), "7", 7.0),
        (GERMAN, "1.234.567,8", 1234567.8),
        (GERMAN, "+1234,8", 1234.8),
        (ENGLISH, "1,234,567.8", 1234567.8),
        (ENGLISH, "-12", -12.0),
        (SWISS, "1'234.5", 1234.5),
        (SWISS, "1\N{RIGHT SINGLE QUOTATION MARK}234", 1234.0),
        (FRENCH, "1 234,5", 1234.5),
        (FRENCH, "1\N{NARROW NO-BREAK SPACE}234\N{NO-BREAK SPACE}567", 1234567.0),
        (Notation(units=("$",)), "-$5.5", -5.5),
        (Notation(units=("$",)), "$ 5", 5.0),
        (Notation(",", ".", units=("EUR", "%")), "1.234,5 EUR", 1234.5),
        (GERMAN, "inf", math.inf),
    ],
)
def test_numbers_in_their_notation(notation: Notation, text: str, value: float) -> None:
    assert notation.number(text) == value


@pytest.mark.parametrize(
    ("notation", "text"),
    [
        (Notation(), "3,14"),
        (Notation(","), "3.14"),
        (Notation(","), "1.234"),
        (GERMAN, "1.23"),
        (GERMAN, "1.2345"),
        (GERMAN, "1,234.5"),
        (ENGLISH, "12,34"),
        (ENGLISH, "1,2345"),
        (ENGLISH, ",123"),
        (SWISS, "12'34"),
        (FRENCH, "1 23"),
        (Notation(units=("$",)), "5 kg"),
        (Notation(), "$5"),
        (GERMAN, "1_000"),
    ],
)
def test_what_is_no_number_in_a_notation(notation: Notation, text: str) -> None:
    """A point that a reader takes for another one makes a number a thousand times too small: so it is none."""
    with pytest.raises(ValueError, match=re.escape(text)):
        notation.number(text)
    assert numbers(["1", text], notation) is None


def test_texts_for_missing_values() -> None:
    notation = Notation(missing=("-", "Not Available"))
    np.testing.assert_array_equal(numbers(["1", " - ", "not available", "NA"], notation), [1, np.nan, np.nan, np.nan])
    assert texts(["a", "-", "#N/A"], notation) == ["a", None, None]
    assert texts(["a", "-"]) == ["a", "-"]


def test_kept_texts_are_missing_among_numbers_alone() -> None:
    notation = Notation(missing=("-",), kept=("None", "na"))
    assert texts([" none ", "NA", "null", "-", "", None], notation) == ["none", "NA", None, None, None, None]
    np.testing.assert_array_equal(numbers(["1", "none", "NA"], notation), [1, np.nan, np.nan])

"""What a training tells of the columns of its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shop import QUICK, Shell, fails, write

ROWS = 60


def odd_columns() -> list[dict[str, str]]:
    days = [f"{i % 28 + 1:02}.{i % 3 + 1:02}.2024" for i in range(ROWS)]
    stream = np.random.default_rng(0)
    return [
        {
            "id": str(100 + i),
            "code": f"k-{i}",
            "day": days[i],
            "when": f"2024-01-02T03:{i:02}:59Z",
            "clock": f"{i % 24}:{i:02}",
            "empty": "NA",
            "same": "7.5",
            "word": "x",
            "gap": "x" if i % 3 else "",
            "color": ["Red", "red", "blue"][i % 3],
            "size": f"{stream.normal():.4f}",
            "y": "ab"[i % 2],
        }
        for i in range(ROWS)
    ]


DATES = "which are not understood; make numbers of them, such as days or years"
LEFT_OUT = {
    "code": "it holds 60 different texts in 60 rows ('k-0', 'k-1', ...), as names and keys do",
    "day": f"it holds dates ('01.01.2024', '01.02.2024', ...), {DATES}",
    "when": f"it holds dates ('2024-01-02T03:00:59Z', '2024-01-02T03:01:59Z', ...), {DATES}",
    "clock": "it holds times of day ('0:00', '0:24', ...), which are not understood; make numbers of them, "
    "such as hours or minutes",
    "empty": "it holds no values",
    "same": "it holds one value, 7.5",
    "word": "it holds one value, 'x'",
}


def test_columns_that_say_nothing_are_left_out_and_told(shell: Shell) -> None:
    write(Path("odd.csv"), odd_columns())
    done = shell("train", "odd.csv", "--target", "y", "--json", *QUICK)
    assert done.status == 0, done.err
    found = done.json()
    assert found["left_out"] == LEFT_OUT
    assert found["columns"] == {"numbers": ["id", "size"], "categories": ["gap", "color"], "arrays": [], "dropped": []}
    lines = done.err.splitlines()
    assert [f"column {name!r} is left out: {why}" for name, why in LEFT_OUT.items()] == [
        line for line in lines if "is left out" in line
    ]
    assert "numbers: id, size; categories: gap (1), color (3)" in lines
    assert "column 'id' counts the rows; if that says nothing of 'y', leave it out: --drop id" in lines
    assert "column 'color' has categories that may be one, spelled in several ways: Red, red" in lines
    assert not any("'size'" in line for line in lines), "nothing is odd about it"


def test_a_first_column_without_a_name_is_left_out_and_told(shell: Shell) -> None:
    """As pandas and R write the names of rows; one further on is called by its place."""
    for first in ("", '""', " "):
        rows = "".join(f"{i},{i % 2},{i % 3},{'ab'[i % 2]}\n" for i in range(ROWS))
        Path("i.csv").write_text(f"{first},b,,y\n{rows}")
        done = shell("train", "i.csv", "--target", "y", "--json", "--force", *QUICK)
        assert done.status == 0, done.err
        why = "it is the first and has no name, as the row numbers that data frames write; name it to have it taken"
        assert done.json()["left_out"] == {"": why}
        assert f"column '' is left out: {why}\n" in done.err
        assert done.json()["columns"]["numbers"] == ["b", "column3"]
        assert len(shell("predict", "i.safetensors", "i.csv").table()) == ROWS
    fails(shell("train", "i.csv", "--target", "y", "--drop", "b,column3", "--force"), f"'' is left out: {why}")


def test_numbers_without_a_deviation_in_float64_are_refused(shell: Shell) -> None:
    for number, words in (("1e200", "whose square is beyond float64"), ("5e-324", "multiply all by a power of ten")):
        rows = [{"a": number if i < 40 and i % 8 == 0 else "0", "y": "uv"[i % 2]} for i in range(ROWS)]
        write(Path("s.csv"), rows)
        fails(shell("train", "s.csv", "--target", "y", *QUICK), "column 'a' holds", words)


@pytest.mark.parametrize("column", ["code", "day", "word", "same"])
def test_columns_are_taken_as_categories_where_the_user_says_so(shell: Shell, column: str) -> None:
    write(Path("odd.csv"), odd_columns())
    done = shell("train", "odd.csv", "--target", "y", "--categorical", column, "--json", *QUICK)
    assert column in done.json()["columns"]["categories"]
    assert column not in done.json()["left_out"]


def test_of_many_columns_the_first_are_told(shell: Shell) -> None:
    """500 columns of numbers, 30 of names: a few lines on standard error, all of them in JSON."""
    values = np.random.default_rng(1).normal(size=(ROWS, 500))
    rows = [
        {f"c{j}": f"{value:.3f}" for j, value in enumerate(row)}
        | {f"n{j}": f"{j}-{i}x" for j in range(30)}
        | {"y": str(i % 2)}
        for i, row in enumerate(values)
    ]
    write(Path("wide.csv"), rows)
    done = shell("train", "wide.csv", "--target", "y", "--json", *QUICK, "--epochs", "1")
    assert "numbers: c0, c1, c2, c3, c4, c5, c6, c7, ... (500 in all)" in done.err
    assert "left out are 22 more columns: n8, n9, n10, n11, n12, n13, n14, n15, ... (22 in all)" in done.err
    assert len(done.err.splitlines()) < 20
    assert len(done.json()["columns"]["numbers"]) == 500
    assert len(done.json()["left_out"]) == 30


def test_nothing_to_learn_from_is_told_with_the_reasons(shell: Shell) -> None:
    rows = [{**{f"n{j}": f"{j}-{i}x" for j in range(30)}, "y": str(i % 2)} for i in range(ROWS)]
    write(Path("names.csv"), rows)
    done = shell("train", "names.csv", "--target", "y", *QUICK)
    fails(done, "no column to learn from", "'n0' is left out: it holds 60 different texts", "'n7'", "and 22 more")
    assert "n8" not in done.err


def test_a_first_line_of_numbers_is_told(shell: Shell) -> None:
    lines = [f"{i / 7:.2f},{i % 5},{'xy'[i % 2]}" for i in range(40)]
    Path("data.csv").write_text("\n".join(lines))
    done = shell("train", "data.csv", "--target", "x", *QUICK)
    assert "data.csv has numbers for names of columns (0.00, 0); give --no-header if they are data" in done.err
    done = shell("train", "data.csv", "--target", "column3", "--no-header", *QUICK, "--force")
    assert done.status == 0
    assert "--no-header" not in done.err


def test_a_column_of_one_value_in_the_rows_that_are_trained_on_is_left_out(shell: Shell) -> None:
    """Its feature would be untrained, and meet other values in the test rows, or later."""
    rows = [{"size": f"{i - 30}", "spike": "0", "gap": "" if i % 3 else "7", "y": "ab"[i > 30]} for i in range(ROWS)]
    for i in range(ROWS):
        rows[i]["spike"] = "50000"
        write(Path("spike.csv"), rows)
        done = shell("train", "spike.csv", "--target", "y", "--json", "--force", *QUICK)
        rows[i]["spike"] = "0"
        if "spike" in done.json()["left_out"]:
            break
    assert done.json()["left_out"] == {"spike": "it holds one value, 0, in all rows that are trained on"}
    assert done.json()["columns"]["numbers"] == ["size", "gap"]


def test_categories_that_are_taken_for_missing_values_are_told_and_can_be_kept(shell: Shell) -> None:
    texts = {"garage": ["none", "attached", "NA"], "alley": ["NA", "gravel", ""], "pool": ["none", "none", "none"]}
    rows = [
        {**{name: found[i % 3] for name, found in texts.items()}, "size": "NA" if i % 4 else f"{i}.5", "y": "ab"[i % 2]}
        for i in range(ROWS)
    ]
    write(Path("h.csv"), rows)
    done = shell("train", "h.csv", "--target", "y", "--json", "--force", *QUICK)
    assert (
        "taken for missing values: garage (none, NA), alley (NA); --keep none,NA makes categories of them\n" in done.err
    )
    assert "numbers: size; categories: garage (1), alley (1)\n" in done.err
    done = shell("train", "h.csv", "--target", "y", "--json", "--force", "--keep", "none,NA", *QUICK)
    assert "taken for missing" not in done.err
    assert done.json()["columns"]["numbers"] == ["size"], "where NA is a missing value all the same"
    assert "categories: garage (3), alley (2)\n" in done.err
    assert done.json()["left_out"]["pool"] == "it holds one value, 'none'"
    assert shell("predict", "h.safetensors", "h.csv").status == 0
    write(Path("new.csv"), [{"garage": "null", "alley": "none", "size": "NA"}])
    fails(shell("predict", "h.safetensors", "new.csv"), "column 'alley' has 'none' in line 2")


def test_numbers_that_look_like_codes_and_dates_are_told(shell: Shell) -> None:
    stream = np.random.default_rng(0)
    rows = [
        {
            "id": f"{i:03}",
            "zip": f"{1000 + 7 * i % 97:05}",
            "day": f"{2019 + i % 3}{i % 12 + 1:02}{i % 28 + 1:02}",
            "part": str(stream.integers(10_000_000, 99_999_999)),
            "size": f"{stream.normal():.4f}",
            "width": f"{i % 7:02}" if i % 2 else f"{i % 7}.5",
            "y": "ab"[i % 2],
        }
        for i in range(ROWS)
    ]
    write(Path("c.csv"), rows)
    done = shell("train", "c.csv", "--target", "y", "--json", "--force", *QUICK)
    assert done.json()["columns"]["numbers"] == ["id", "zip", "day", "part", "size", "width"]
    assert "column 'id' counts the rows; if that says nothing of 'y', leave it out: --drop id\n" in done.err
    codes = (
        "taken as numbers, though with leading zeros, as codes have: zip; --categorical zip makes categories of them"
    )
    assert codes in done.err.splitlines()
    (line,) = [line for line in done.err.splitlines() if "read as dates" in line]
    assert ": day; make numbers of days or years of them, or leave them out: --drop day" in line
    done = shell("train", "c.csv", "--target", "y", "--categorical", "zip", "--drop", "day", "--force", *QUICK)
    assert "taken as numbers" not in done.err
    np.savez("c.npz", day=[int(row["day"]) for row in rows], size=np.arange(ROWS) % 7, y=[row["y"] for row in rows])
    done = shell("train", "c.npz", "--target", "y", "--force", *QUICK)
    assert "read as dates" in done.err
    assert "leading zeros" not in done.err


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("Yes", "no", "YES", "No", "yes"), "No, no, YES, Yes, yes"),
        (("True", "0", "1", "False"), "0, False, 1, True"),
        (("yes", "no", "1"), None),
    ],
)
def test_classes_that_may_be_one_are_told(shell: Shell, texts: tuple[str, ...], said: str | None) -> None:
    write(Path("s.csv"), [{"a": str(i * i % 23), "y": texts[i % len(texts)]} for i in range(ROWS)])
    done = shell("train", "s.csv", "--target", "y", "--json", *QUICK)
    assert done.status == 0, done.err
    told = [line for line in done.err.splitlines() if line.startswith("the target 'y' has classes that may be one")]
    assert told == (
        [f"the target 'y' has classes that may be one, spelled in several ways: {said}; write them alike if they are"]
        if said
        else []
    )

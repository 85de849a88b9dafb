"""What is predicted: classes or a quantity, told by the column, and columns that can be neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import QUICK, SHOP, Shell, fails, write


def whole_numbers(different: int) -> list[dict[str, str]]:
    return [{"a": str(i), "b": str(i % different)} for i in range(120)]


@pytest.mark.parametrize(
    ("different", "more", "task"),
    [
        (3, (), "classification"),
        (40, (), "regression"),
        (3, ("--task", "regression"), "regression"),
        (40, ("--task", "classification", "--test", "0", "--validation", "0"), "classification"),
    ],
)
def test_numbers_are_classes_if_whole_and_few(shell: Shell, different: int, more: tuple[str, ...], task: str) -> None:
    write(Path("n.csv"), whole_numbers(different))
    done = shell("train", "n.csv", "--target", "b", "--json", "--epochs", "1", "--quiet", *more)
    assert done.json()["task"] == task
    assert f"{different} different whole numbers" in done.err or "as asked" in done.err
    if task == "classification":
        assert done.json()["classes"] == [str(i) for i in range(different)], "in the order of numbers"


@pytest.mark.parametrize(
    ("task", "column", "words"),
    [
        ("regression", "grade", "holds text"),
        ("classification", "price", "holds fractions"),
        ("auto", "nothing", "no column 'nothing'"),
        ("auto", "grades", "no column 'grades'; did you mean 'grade'?"),
        ("auto", "same", "must have several values to tell apart; 240 rows of it all have x; give another --target"),
        ("classification", "same", "240 rows of it all have x"),
        ("auto", "half", "240 rows of it all have 0.5"),
        ("auto", "whole", "240 rows of it all have 7"),
        ("regression", "whole", "240 rows of it all have 7"),
        ("auto", "once", "1 row of it has x"),
        ("auto", "empty", "holds no values"),
        (
            "auto",
            "comma",
            "holds numbers in another notation ('0,5', '1,5', ...): give --decimal , to read '0,5' as 0.5",
        ),
        ("regression", "comma", "or take each text as a class with --task classification"),
        ("auto", "date", "holds dates ('2024-01-01', '2024-01-02', ...), which are not understood"),
        ("auto", "key", "holds 240 different texts in 240 rows ('row 0', 'row 1', ...), too many to be classes"),
    ],
)
def test_targets_that_cannot_be(shell: Shell, task: str, column: str, words: str) -> None:
    more = {"same": "x", "half": "0.5", "whole": "7", "empty": ""}
    rows = [
        {
            **row,
            **more,
            "once": "x" * (i == 3),
            "comma": f"{i},5",
            "date": f"2024-{i // 28 % 12 + 1:02}-{i % 28 + 1:02}",
        }
        for i, row in enumerate(SHOP)
    ]
    write(Path("t.csv"), rows)
    done = shell("train", "t.csv", "--target", column, "--task", task, *QUICK)
    fails(done, words)
    assert not Path("t.safetensors").exists()


def test_texts_are_classes_where_the_user_says_so(shell: Shell) -> None:
    write(Path("n.csv"), [{"a": str(i * i), "b": f"{i % 3},5", "c": f"code {i}"} for i in range(60)])
    for target, classes in {"b": 3, "c": 60}.items():
        arguments = ("train", "n.csv", "--target", target, "--drop", "c" if target == "b" else "b", "--force", "--json")
        assert shell(*arguments, *QUICK).status == 1
        done = shell(*arguments, "--task", "classification", *QUICK)
        assert done.status == 0, done.err
        assert len(done.json()["classes"]) == classes


def test_classes_of_several_lines_are_shown_in_one(shell: Shell) -> None:
    write(Path("n.csv"), [{"a": str(i * i), "b": ["x\ny", "z"][i % 2]} for i in range(60)])
    done = shell("train", "n.csv", "--target", "b", *QUICK)
    assert "(the target is text): 'x\\ny', z\n" in done.err
    assert "      'x\\ny' " in done.out

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
    doubtful = task == "classification" and different > 2 and not more
    assert ("; --task regression takes it for a quantity)" in done.err) == doubtful
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
        ("auto", "clock", "holds times of day ('0:00', '10:00', ...), which are not understood; make numbers of them"),
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
            "clock": f"{i % 24}:00",
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


def severities(*texts: str) -> list[dict[str, str]]:
    """Rows with texts in turn, which a marker tells apart."""
    return [{"marker": f"{i % len(texts)}.{i % 7}", "severity": texts[i % len(texts)]} for i in range(120)]


def test_a_class_that_is_taken_for_a_missing_value_is_told_and_can_be_kept(shell: Shell) -> None:
    write(Path("s.csv"), severities("None", "mild", "severe", "none", "mild", ""))
    arguments = ("train", "s.csv", "--target", "severity", "--json", "--force", *QUICK)
    taken = "taken for missing values: 'None' in 20 rows, 'none' in 20 rows"
    left_out = f"left out: 60 rows without a value of 'severity'; {taken}"
    assert f"{left_out}; give --keep none if that is a value\n" in shell(*arguments).err
    evaluated = shell("evaluate", "s.safetensors", "s.csv")
    assert (evaluated.status, evaluated.err) == (0, f"{left_out}\n"), "the model has no such class to give"
    named = shell(*arguments, "--missing", "none")
    assert "left out: 60 rows without a value of 'severity'\n" in named.err, "as the user says"


def test_a_class_that_is_kept_is_one_to_all_commands(shell: Shell) -> None:
    write(Path("s.csv"), severities("none", "mild", "NA", ""))
    done = shell("train", "s.csv", "--target", "severity", "--json", "--quiet", "--keep", "NONE")
    assert done.json()["classes"] == ["mild", "none"]
    assert "'NA' in 30 rows; give --keep NA if that is a value" in done.err
    evaluated = shell("evaluate", "s.safetensors", "s.csv", "--json").json()
    assert (evaluated["rows"], evaluated["accuracy"]) == (60, 1.0)
    write(Path("new.csv"), [{"marker": "0.3"}, {"marker": "1.3"}])
    assert shell("predict", "s.safetensors", "new.csv").table() == [{"severity": "none"}, {"severity": "mild"}]
    doubtful = ("predict", "s.safetensors", "new.csv", "--missing", "None")
    with pytest.raises(SystemExit):
        shell(*doubtful)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (
            ("NA", "US"),
            "60 rows of it all have US; taken for missing values: 'NA' in 60 rows; give --keep NA if that is",
        ),
        (("NA", "1"), "60 rows of it all have 1; taken for missing values: 'NA' in 60 rows; give --keep NA if that is"),
        (
            ("NA", "none", ""),
            "no values; taken for missing values: 'NA' in 40 rows, 'none' in 40 rows; give --keep NA,none",
        ),
    ],
)
def test_a_target_without_several_values_tells_what_was_taken_for_missing(
    shell: Shell, texts: tuple[str, ...], words: str
) -> None:
    write(Path("s.csv"), severities(*texts))
    fails(shell("train", "s.csv", "--target", "severity", *QUICK), words)
    done = shell("train", "s.csv", "--target", "severity", "--json", "--keep", "NA,none", *QUICK)
    assert done.json()["classes"] == sorted(set(texts) - {""})


def test_a_kept_text_is_a_class_beside_whole_numbers_and_missing_beside_quantities(shell: Shell) -> None:
    write(Path("s.csv"), severities("0", "none", "1"))
    done = shell("train", "s.csv", "--target", "severity", "--json", "--keep", "none", "--force", *QUICK)
    assert done.json()["classes"] == ["0", "1", "none"]
    assert "(the target has 2 different whole numbers and none)" in done.err
    done = shell("train", "s.csv", "--target", "severity", "--task", "regression", "--keep", "none", "--force", *QUICK)
    assert "left out: 40 rows without a value of 'severity'\n" in done.err
    write(Path("s.csv"), severities("0.5", "none", "1.5"))
    done = shell("train", "s.csv", "--target", "severity", "--json", "--keep", "none", "--force", *QUICK)
    assert (done.json()["task"], sum(done.json()["rows"].values())) == ("regression", 80)
    write(Path("s.csv"), severities("0.5", "none"))
    fails(
        shell("train", "s.csv", "--target", "severity", "--keep", "none", "--force", *QUICK),
        "60 rows of it all have 0.5",
    )


def test_numbers_are_one_class_however_they_are_written_beside_a_kept_text(shell: Shell) -> None:
    write(Path("s.csv"), severities("1", "none", "1.0", "2"))
    done = shell("train", "s.csv", "--target", "severity", "--json", "--keep", "none", "--out", "s.st", *QUICK)
    assert done.json()["classes"] == ["1", "2", "none"]
    write(Path("floats.csv"), severities("1.0", "none", "2.0"))
    assert shell("evaluate", "s.st", "floats.csv", "--json").json()["rows"] == 120
    write(Path("other.csv"), severities("1", "none", "3"))
    fails(shell("evaluate", "s.st", "other.csv"), "classes that training never saw: 3; known: 1, 2, none")


def test_classes_keep_their_leading_zeros(shell: Shell) -> None:
    write(Path("s.csv"), severities("007", "010", "100", "none"))
    done = shell("train", "s.csv", "--target", "severity", "--json", "--keep", "none", "--epochs", "40")
    assert done.json()["classes"] == ["007", "010", "100", "none"]
    assert "(the target has 3 different whole numbers and none)" in done.err
    assert shell("evaluate", "s.safetensors", "s.csv", "--json").json()["rows"] == 120
    write(Path("new.csv"), [{"marker": "0.3"}, {"marker": "1.3"}, {"marker": "2.3"}])
    found = shell("predict", "s.safetensors", "new.csv").table()
    assert [row["severity"] for row in found] == ["007", "010", "100"]
    write(Path("other.csv"), severities("7", "10", "100"))
    fails(shell("evaluate", "s.safetensors", "other.csv"), "classes that training never saw: 10, 7; known: 007, 010")


def test_numbers_that_are_written_in_two_ways_are_one_class(shell: Shell) -> None:
    write(Path("s.csv"), severities("7", "07", "8"))
    assert shell("train", "s.csv", "--target", "severity", "--json", *QUICK).json()["classes"] == ["7", "8"]


def test_leading_zeros_make_no_classes_of_quantities(shell: Shell) -> None:
    write(Path("s.csv"), severities("00.5", "01", "10"))
    assert shell("train", "s.csv", "--target", "severity", "--json", "--force", *QUICK).json()["task"] == "regression"
    write(Path("s.csv"), severities("01", "02", "03"))
    arguments = ("train", "s.csv", "--target", "severity", "--task", "regression", "--json", "--force", *QUICK)
    assert shell(*arguments).json()["task"] == "regression"


def test_dates_are_dates_beside_a_kept_text(shell: Shell) -> None:
    write(Path("s.csv"), severities("2024-01-01", "none", "2024-02-01", "2024-03-01"))
    fails(shell("train", "s.csv", "--target", "severity", "--keep", "none", *QUICK), "holds dates")
    rows = [
        {**row, "day": row["severity"], "severity": "ab"[i % 2]}
        for i, row in enumerate(severities("2024-01-01", "none", "2024-02-01"))
    ]
    write(Path("d.csv"), rows)
    assert "it holds dates" in shell("train", "d.csv", "--target", "severity", "--keep", "none", *QUICK).err

"""``xpnet predict`` and ``xpnet evaluate``: what a model file gives for tables."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shop import COLORS, QUICK, ROWS, SHOP, Shell, fails, trained, write

import xpnet
from xpnet.checkpoint import read_notes
from xpnet.cli.evaluate import _average_precision


def test_quantities_come_back_in_their_own_unit(shell: Shell) -> None:
    found = trained(shell, "price", "--epochs", "40").json()
    assert found["task"] == "regression"
    assert found["classes"] is None
    assert found["test"]["r2"] > 0.7
    assert found["test"]["rmse"] < 4
    predicted = [float(row["price"]) for row in shell("predict", "shop.safetensors", "shop.csv").table()]
    true = [float(row["price"]) for row in SHOP]
    assert np.mean(np.abs(np.subtract(true, predicted))) < 4
    measured = shell("evaluate", "shop.safetensors", "shop.csv", "--json").json()
    assert measured["mae"] == pytest.approx(np.mean(np.abs(np.subtract(true, predicted))), rel=1e-4)
    report = shell("evaluate", "shop.safetensors", "shop.csv").out
    assert f"{measured['rmse']:.6g}" in report


def test_quantities_whose_squares_underflow(shell: Shell) -> None:
    """As the smallest of physics, in a unit that makes them smaller."""
    write(Path("t.csv"), [{"a": f"{i % 17}", "y": f"{i % 17}e-165"} for i in range(170)])
    found = shell("train", "t.csv", "--target", "y", "--epochs", "60", "--json", "--quiet").json()["test"]
    assert found["r2"] > 0.9
    assert 0 < found["mae"] <= found["rmse"] < 3e-165
    row = shell("predict", "t.safetensors", "t.csv").table()[16]
    assert float(row["y"]) == pytest.approx(16e-165, rel=0.3)


def test_a_quantity_has_no_probabilities(shell: Shell) -> None:
    trained(shell, "price", "--epochs", "1")
    with pytest.raises(SystemExit) as caught:
        shell("predict", "shop.safetensors", "shop.csv", "--probabilities")
    assert caught.value.code == 2


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_the_model_comes_first(command: str, shell: Shell) -> None:
    trained(shell, "grade", "--epochs", "1")
    fails(shell(command, "shop.csv", "shop.safetensors"), "shop.csv is not an xpnet file", "comes first")


def test_predicting_is_what_python_gives(shell: Shell) -> None:
    """The shell's answers are those of the loaded network on features that are prepared by hand."""
    trained(shell)
    (note,) = read_notes("shop.safetensors").values()
    size = next(entry for entry in json.loads(note)["inputs"] if entry["name"] == "size")
    x = []
    for row in SHOP:
        gap = row["size"] == "NA"
        number = 0.0 if gap else (float(row["size"]) - size["mean"]) / size["deviation"]
        x.append([*(float(row["color"] == color) for color in COLORS), number, float(gap)])
    probabilities = np.asarray(xpnet.load("shop.safetensors").predict(np.asarray(x)))
    table = shell("predict", "shop.safetensors", "shop.csv", "--probabilities").table()
    given = [[float(row["probability of high"]), float(row["probability of low, or so"])] for row in table]
    np.testing.assert_allclose(given, probabilities, atol=1e-6)
    assert [row["grade"] for row in table] == [["high", "low, or so"][i] for i in probabilities.argmax(axis=1)]


def test_columns_go_by_name(shell: Shell) -> None:
    trained(shell)
    expected = shell("predict", "shop.safetensors", "shop.csv")
    assert expected.status == 0
    assert expected.err == ""
    turned = [{"extra": "1", "size": row["size"], "color": f" {row['color']} "} for row in SHOP]
    write(Path("turned.csv"), turned, delimiter=";")
    assert shell("predict", "shop.safetensors", "turned.csv").out == expected.out


def test_a_missing_column_is_named(shell: Shell) -> None:
    trained(shell)
    write(Path("less.csv"), [{"size": row["size"], "colour": "red"} for row in SHOP])
    done = shell("predict", "shop.safetensors", "less.csv")
    fails(done, "lacks 1 column that the model takes: color; did you mean 'colour'? it has: size, colour")


@pytest.mark.parametrize(
    ("columns", "meant"),
    [
        (["Size", "COLOR"], "; did you mean 'COLOR', 'Size'? it has: "),
        (["size", "Color", "colors"], ": color; did you mean 'Color'? it has: "),
        (["color", "grade"], ": size; it has: "),
        (["color", "price"], ": size; it has: "),
    ],
)
def test_a_column_that_is_nearly_there_is_suggested(shell: Shell, columns: list[str], meant: str) -> None:
    """In whatever case, and none that the model takes itself."""
    trained(shell)
    write(Path("less.csv"), [dict.fromkeys(columns, "1")])
    fails(shell("predict", "shop.safetensors", "less.csv"), meant)


def test_an_unknown_category_is_named_with_its_line(shell: Shell) -> None:
    trained(shell)
    write(Path("new.csv"), [{"size": "1", "color": color} for color in ("red", "purple", "Blue", "purple")])
    done = shell("predict", "shop.safetensors", "new.csv")
    fails(done, "'color'", "'purple' in line 3", "and 1 other text", "blue, green, red", "--unknown missing")
    assert "did you mean" not in done.err
    write(Path("new.csv"), [{"size": "1", "color": "Blue"}])
    fails(shell("predict", "shop.safetensors", "new.csv"), "'Blue' in line 2", "did you mean 'blue'?")


def test_unknown_categories_as_missing_values(shell: Shell) -> None:
    trained(shell)
    sizes = ["1", "2", "3", "4"]
    for name, colors in {"new": ["red", "purple", "Blue", "purple"], "gaps": ["red", "", "", ""]}.items():
        rows = zip(sizes, colors, strict=True)
        write(Path(f"{name}.csv"), [{"size": size, "color": color, "grade": "high"} for size, color in rows])
    for command in ("predict", "evaluate"):
        done = shell(command, "shop.safetensors", "new.csv", "--unknown", "missing", "--json")
        assert done.status == 0
        assert (
            done.err == "column 'color': 3 rows with what training never saw (Blue, purple) taken as missing values\n"
        )
        assert done.out == shell(command, "shop.safetensors", "gaps.csv", "--json").out


@pytest.mark.parametrize(
    ("size", "words"), [("big", "'big'"), ("inf", "finite"), ("1,5", "give --decimal , to read '1,5' as 1.5")]
)
def test_a_number_that_is_none_is_named(shell: Shell, size: str, words: str) -> None:
    trained(shell)
    write(Path("new.csv"), [{"size": "", "color": "red"}, {"size": size, "color": "red"}])
    fails(shell("predict", "shop.safetensors", "new.csv"), "'size'", words, "line 3")


@pytest.mark.filterwarnings("error")
def test_a_number_beyond_the_models_type_is_named(shell: Shell) -> None:
    trained(shell, "price", "--epochs", "1")
    write(Path("new.csv"), [SHOP[0], {**SHOP[1], "size": "1e300"}])
    fails(
        shell("predict", "shop.safetensors", "new.csv"), "'size' holds a number in line 3", "too large for", "float32"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("column", "what", "first"), [("size", "column 'size'", "NA"), ("price", "the target 'price'", "1.5")]
)
def test_a_number_whose_square_is_beyond_float64_is_named_with_its_line(
    shell: Shell, column: str, what: str, first: str
) -> None:
    rows = [{**row, column: [first, "-1e300", "2.5"][i % 3]} for i, row in enumerate(SHOP)]
    write(Path("new.csv"), rows)
    parts = ("--test", "0", "--validation", "0")
    done = shell("train", "new.csv", "--target", "price", "--drop", "key", *parts, *QUICK)
    fails(
        done, f"{what} holds a number of size 1e+300 in line 3 of new.csv, whose square is beyond float64; correct it"
    )


def test_an_array_whose_squares_are_beyond_float64_is_told_with_its_row(shell: Shell) -> None:
    x = np.ones((60, 3))
    x[5, 1] = 1e300
    np.save("x.npy", x)
    np.save("y.npy", np.arange(60) % 2)
    done = shell("train", "x.npy", "--target", "y.npy", "--test", "0", "--validation", "0")
    fails(done, "'x' holds a number of size 1e+300 in row 5 of x.npy, whose square is beyond float64")


@pytest.mark.filterwarnings("error")
def test_an_answer_beyond_the_models_type_is_named(shell: Shell) -> None:
    trained(shell, "price", "--epochs", "1")
    write(Path("new.csv"), [SHOP[0], {**SHOP[1], "price": "1e300"}])
    done = shell("evaluate", "shop.safetensors", "new.csv")
    fails(done, "the target 'price' holds a number in line 3 of new.csv that is too large for the model's float32")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400"])
def test_an_infinite_answer_is_named_with_its_line(shell: Shell, cell: str) -> None:
    write(Path("new.csv"), [SHOP[0], {**SHOP[1], "price": cell}, *SHOP[2:]])
    got = f"got {cell}, which is beyond float64, in line 3" if "1" in cell else f"got {cell} in line 3"
    said = "the target 'price' must hold finite numbers", got, "correct it, or leave the cell empty"
    for arguments in (("--task", "auto"), ("--task", "regression"), ("--task", "classification")):
        failed = shell("train", "new.csv", "--target", "price", "--out", "new.safetensors", *arguments)
        fails(failed, *said)
    trained(shell, "price", "--epochs", "1")
    fails(shell("evaluate", "shop.safetensors", "new.csv"), *said)


def test_predict_writes_files_and_json(shell: Shell) -> None:
    trained(shell)
    expected = shell("predict", "shop.safetensors", "shop.csv").out
    done = shell("predict", "shop.safetensors", "shop.csv", "--out", "answers.csv")
    assert (done.status, done.out) == (0, "")
    assert Path("answers.csv").read_text() == expected
    fails(shell("predict", "shop.safetensors", "shop.csv", "--out", "answers.csv"), "answers.csv exists", "--force")
    assert shell("predict", "shop.safetensors", "shop.csv", "--out", "answers.csv", "--force").status == 0
    assert shell("predict", "shop.safetensors", "shop.csv", "--out", "-").out == expected
    answers = shell("predict", "shop.safetensors", "shop.csv", "--json").json()
    assert answers["grade"] == [row["grade"] for row in csv.DictReader(io.StringIO(expected))]
    fails(shell("predict", "shop.safetensors", "shop.csv", "--out", "missing/answers.csv"), "no folder missing")
    fails(shell("predict", "shop.safetensors", "answers.csv", "--out", "answers.csv"), "lacks 2 columns")
    assert sorted(path.name for path in Path().iterdir()) == ["answers.csv", "shop.csv", "shop.safetensors"]


def piped(content: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "xpnet", "predict", "shop.safetensors", "-"]
    return subprocess.run(command, input=content, capture_output=True, timeout=120, check=False)


def test_the_shell_reads_pipes(shell: Shell) -> None:
    trained(shell)
    expected = shell("predict", "shop.safetensors", "shop.csv").out.splitlines()
    content = Path("shop.csv").read_bytes()
    for written in (content, gzip.compress(content), content.decode().encode("utf-16")):
        done = piped(written)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode().splitlines() == expected


def test_pipes_of_other_things_are_told(shell: Shell) -> None:
    trained(shell)
    for start in (b"PAR1", b"\x93NUMPY", b"PK\x03\x04"):
        done = piped(start + b"...")
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(
            b"xpnet predict: standard input must be CSV; a file of another kind is to be given"
        )
    assert b"standard input is empty" in piped(b"").stderr


def test_there_is_an_answer_for_each_row_of_an_only_column(shell: Shell) -> None:
    """A blank line is the missing value that it was in training, beside the answers; those at the end are nothing."""
    cells = ["" if i % 9 == 4 else str(i % 13) for i in range(90)]
    answers = ["gap" if not cell else "low" if int(cell) < 6 else "high" for cell in cells]
    for kind in ("size", "color"):
        words = cells if kind == "size" else [cell and "rgb"[int(cell) // 6] for cell in cells]
        rows = [{kind: word, "y": answer} for word, answer in zip(words, answers, strict=True)]
        write(Path("both.csv"), rows)
        assert shell("train", "both.csv", "--target", "y", "--force", *QUICK, "--epochs", "60").status == 0
        expected = shell("predict", "both.safetensors", "both.csv")
        assert [row["y"] for row in expected.table()] == answers
        for end in ("\n", "\r\n"):
            Path("one.csv").write_bytes(end.join([kind, *words, "", ""]).encode())
            assert shell("predict", "both.safetensors", "one.csv").out == expected.out


def test_rows_without_an_answer_are_left_out(shell: Shell) -> None:
    rows = [dict(row, grade="?") if i < 5 else row for i, row in enumerate(SHOP)]
    write(Path("shop.csv"), rows)
    done = trained(shell)
    assert "left out: 5 rows without a value of 'grade'\n" in done.err
    assert sum(done.json()["rows"].values()) == ROWS - 5
    done = shell("evaluate", "shop.safetensors", "shop.csv", "--json")
    assert done.json()["rows"] == ROWS - 5
    assert len(shell("predict", "shop.safetensors", "shop.csv").table()) == ROWS


def test_two_classes_have_areas_that_depend_on_no_threshold(shell: Shell) -> None:
    """By their definitions: the share of pairs in order, and the precision at each positive, ties counted together."""
    trained(shell)
    low, high = (
        np.asarray([float(row[f"probability of {name}"]) for row in table])
        for table in [shell("predict", "shop.safetensors", "shop.csv", "--probabilities").table()]
        for name in ("low, or so", "high")
    )
    truth = np.asarray([row["grade"] == "high" for row in SHOP])
    found = shell("evaluate", "shop.safetensors", "shop.csv", "--json").json()
    pairs = np.sign(high[truth][:, None] - high[~truth])
    assert found["roc_auc"] == pytest.approx((pairs.mean() + 1) / 2, abs=1e-4)
    for area, score, positive in zip(found["average_precision"], (high, low), (truth, ~truth), strict=True):
        precisions = [positive[score >= least].mean() for least in score[positive]]
        assert area == pytest.approx(np.mean(precisions), abs=1e-4)
    report = shell("evaluate", "shop.safetensors", "shop.csv").out
    assert f"\narea under the ROC curve {found['roc_auc']:.4f}\n" in report
    first, second = found["average_precision"]
    assert f"\naverage precision of high {first:.4f}, of 'low, or so' {second:.4f}\n" in report
    write(Path("one.csv"), [row for row in SHOP if row["grade"] == "high"])
    one = shell("evaluate", "shop.safetensors", "one.csv", "--json").json()
    assert (one["roc_auc"], one["average_precision"]) == (None, None)
    assert "ROC" not in shell("evaluate", "shop.safetensors", "one.csv").out


def test_rows_of_one_score_are_counted_together() -> None:
    positive, score = np.asarray([True, False, True, False, True]), np.asarray([0.9, 0.9, 0.4, 0.4, 0.1])
    assert _average_precision(positive, score) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 3)


def test_a_threshold_moves_the_line_between_two_classes(shell: Shell) -> None:
    trained(shell)
    arguments = ("shop.safetensors", "shop.csv", "--threshold", "high=0.2")
    answers = shell("predict", *arguments, "--probabilities").table()
    assert [row["grade"] for row in answers] == [
        "high" if float(row["probability of high"]) >= 0.2 else "low, or so" for row in answers
    ]
    assert answers != shell("predict", *arguments[:2], "--probabilities").table()
    found, plain = (shell("evaluate", *given, "--json").json() for given in (arguments, arguments[:2]))
    right = np.mean([answer["grade"] == row["grade"] for answer, row in zip(answers, SHOP, strict=True)])
    assert found["accuracy"] == pytest.approx(right)
    assert np.trace(found["confusion"]) == round(right * ROWS)
    assert found["confusion"] != plain["confusion"]
    same = ("loss", "roc_auc", "average_precision")
    assert [found[name] for name in same] == [plain[name] for name in same]
    assert f"{right:.4f}" in shell("evaluate", *arguments).out


@pytest.mark.parametrize(
    ("target", "threshold", "said"),
    [
        ("grade", "0.3", "argument --threshold: must be CLASS=P, as in yes=0.3; got '0.3'"),
        ("grade", "high=1.5", "must be CLASS=P with P between 0 and 1, as in yes=0.3; got '1.5'"),
        ("grade", "top=0.3", "--threshold must name a class of 'grade': high or 'low, or so'; got 'top'"),
        ("price", "high=0.3", "--threshold chooses between two classes, and 'price' is a quantity; leave it out"),
        ("color", "red=0.3", "--threshold chooses between two classes, and 'color' has 3; leave it out"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_thresholds_that_cannot_be(
    command: str, target: str, threshold: str, said: str, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(shell, target, "--epochs", "1")
    with pytest.raises(SystemExit, match="2"):
        shell(command, "shop.safetensors", "shop.csv", "--threshold", threshold)
    assert said in capsys.readouterr().err


def test_evaluate_agrees_with_the_answers(shell: Shell) -> None:
    trained(shell)
    answers = [row["grade"] for row in shell("predict", "shop.safetensors", "shop.csv").table()]
    right = np.mean([answer == row["grade"] for answer, row in zip(answers, SHOP, strict=True)])
    found = shell("evaluate", "shop.safetensors", "shop.csv", "--json").json()
    assert found["accuracy"] == pytest.approx(right)
    counts = np.asarray(found["confusion"])
    assert np.trace(counts) == round(right * ROWS)
    assert f"{right:.4f}" in shell("evaluate", "shop.safetensors", "shop.csv").out
    write(Path("renamed.csv"), [{**row, "truth": row["grade"]} for row in SHOP])
    assert shell("evaluate", "shop.safetensors", "renamed.csv", "--target", "truth", "--json").json() == found
    write(Path("strange.csv"), [{**row, "grade": "middle"} for row in SHOP])
    fails(shell("evaluate", "shop.safetensors", "strange.csv"), "middle", "known: high, 'low, or so'")
    write(Path("none.csv"), [{"size": "1", "color": "red"}])
    fails(shell("evaluate", "shop.safetensors", "none.csv"), "no column 'grade'")

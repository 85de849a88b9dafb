"""From a table to a model file and back: train, predict, evaluate and export, from end to end."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import xpnet
from xpnet import Network
from xpnet.checkpoint import read_notes, save
from xpnet.cli import export, main, train
from xpnet.cli.models import load_model
from xpnet.cli.tables import read_table

STREAM = np.random.default_rng(5)
ROWS = 240
COLORS = ["blue", "green", "red"]


def shop() -> list[dict[str, str]]:
    """Rows whose price and grade follow from a color and a size; both have gaps."""
    rows = []
    for i in range(ROWS):
        color, size = int(STREAM.integers(3)), float(STREAM.normal(5, 2))
        price = 3 * size + 4 * color
        rows.append(
            {
                "key": f"row {i}",
                "color": "" if i % 17 == 3 else COLORS[color],
                "size": "NA" if i % 19 == 4 else f"{size:.4f}",
                "price": f"{price:.4f}",
                "grade": "high" if price > 19 else "low, or so",
            }
        )
    return rows


SHOP = shop()


def write(path: Path, rows: list[dict[str, str]], **options: Any) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


class Done(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def table(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out)))


Shell = Callable[..., Done]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command in an empty folder that has shop.csv."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "shop.csv", SHOP)

    def run(*arguments: Any) -> Done:
        capsys.readouterr()
        return Done(main([str(argument) for argument in arguments]), *capsys.readouterr())

    return run


def fails(done: Done, *words: str) -> None:
    """Hold an error to one line on standard error, with these words in it, and nothing else."""
    assert done.status == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("xpnet ")
    assert "unexpected" not in line
    for word in words:
        assert word in line


QUICK = ("--epochs", "15", "--hidden", "16", "--learning-rate", "0.02", "--quiet")


def trained(shell: Shell, target: str = "grade", *more: Any) -> Done:
    other = "price" if target == "grade" else "grade"
    done = shell("train", "shop.csv", "--target", target, "--drop", other, "--json", *QUICK, *more)
    assert done.status == 0, done.err
    return done


def test_classes_with_texts_categories_and_gaps(shell: Shell) -> None:
    done = trained(shell)
    found = done.json()
    assert found["task"] == "classification"
    assert found["classes"] == ["high", "low, or so"]
    assert found["features"] == 5, "three colors, the size, and whether it is missing"
    assert found["left_out"] == {"key": f"it holds {ROWS} different texts"}
    assert found["rows"] == {"training": 168, "validation": 24, "test": 48}
    assert found["test"]["accuracy"] > 0.8
    assert np.sum(found["test"]["confusion"]) == 48
    assert "column 'key' is left out" in done.err
    assert "the target is text" in done.err
    assert Path("shop.safetensors").is_file()


def test_the_model_scales_by_its_training_rows_alone(shell: Shell) -> None:
    trained(shell)
    (note,) = read_notes("shop.safetensors").values()
    entries = {entry["name"]: entry for entry in json.loads(note)["inputs"]}
    assert entries["color"]["values"] == COLORS
    assert entries["size"]["missing"] is True
    everything = np.asarray([float(row["size"]) for row in SHOP if row["size"] != "NA"])
    assert abs(entries["size"]["mean"] - everything.mean()) < 0.5
    assert entries["size"]["mean"] != pytest.approx(everything.mean(), abs=1e-9)


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
    fails(shell("predict", "shop.safetensors", "less.csv"), "lacks 1 column", ": color; it has: ", "colour")


def test_an_unknown_category_is_named_with_its_line(shell: Shell) -> None:
    trained(shell)
    write(Path("new.csv"), [{"size": "1", "color": "red"}, {"size": "2", "color": "purple"}])
    fails(shell("predict", "shop.safetensors", "new.csv"), "'color'", "'purple'", "line 3", "blue, green, red")


@pytest.mark.parametrize(("size", "words"), [("big", "'big'"), ("inf", "finite")])
def test_a_number_that_is_none_is_named(shell: Shell, size: str, words: str) -> None:
    trained(shell)
    write(Path("new.csv"), [{"size": "", "color": "red"}, {"size": size, "color": "red"}])
    fails(shell("predict", "shop.safetensors", "new.csv"), "'size'", words, "line 3")


def test_predict_writes_files_and_json(shell: Shell) -> None:
    trained(shell)
    expected = shell("predict", "shop.safetensors", "shop.csv").out
    done = shell("predict", "shop.safetensors", "shop.csv", "--out", "answers.csv")
    assert (done.status, done.out) == (0, "")
    assert Path("answers.csv").read_text() == expected
    fails(shell("predict", "shop.safetensors", "shop.csv", "--out", "answers.csv"), "answers.csv exists", "--force")
    assert shell("predict", "shop.safetensors", "shop.csv", "--out", "answers.csv", "--force").status == 0
    answers = shell("predict", "shop.safetensors", "shop.csv", "--json").json()
    assert answers["grade"] == [row["grade"] for row in csv.DictReader(io.StringIO(expected))]
    fails(shell("predict", "shop.safetensors", "shop.csv", "--out", "missing/answers.csv"), "no folder missing")
    assert sorted(path.name for path in Path().iterdir()) == ["answers.csv", "shop.csv", "shop.safetensors"]


def test_the_shell_reads_pipes(shell: Shell) -> None:
    trained(shell)
    expected = shell("predict", "shop.safetensors", "shop.csv").out
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", "predict", "shop.safetensors", "-"],
        input=Path("shop.csv").read_bytes(), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == expected.splitlines()


def test_training_is_repeatable_and_destroys_nothing(shell: Shell) -> None:
    trained(shell)
    first = xpnet.load("shop.safetensors").get_weights()
    done = shell("train", "shop.csv", "--target", "grade", "--drop", "price", *QUICK)
    fails(done, "shop.safetensors exists", "--force")
    trained(shell, "grade", "--force")
    again = xpnet.load("shop.safetensors").get_weights()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    trained(shell, "grade", "--force", "--seed", "1")
    assert not np.array_equal(first["0.weight"], xpnet.load("shop.safetensors").get_weights()["0.weight"])


@pytest.mark.parametrize("command", ["train", "predict", "export"])
def test_a_file_that_comes_meanwhile_is_left_alone_and_nothing_is_lost(
    command: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the command works, somebody writes two files: the one that was asked for, and the first name beside it."""
    if command == "export":
        for module in ("ndonnx", "onnxscript"):
            pytest.importorskip(module)
    trained(shell, "grade", "--out", "m.safetensors")
    asked = {
        "train": ("shop.safetensors", "shop.csv", "--target", "grade", "--drop", "price", *QUICK),
        "predict": ("a.csv", "m.safetensors", "shop.csv", "--out", "a.csv"),
        "export": ("m.onnx", "m.safetensors", "m.onnx"),
    }
    out, *arguments = asked[command]
    first, second, third = (Path(out).with_stem(Path(out).stem + end) for end in ("", "-1", "-2"))
    working: dict[str, tuple[Any, str]] = {
        "train": (Network, "fit"),
        "predict": (Network, "predict"),
        "export": (export, "load"),
    }
    owner, name = working[command]
    work = getattr(owner, name)

    def meanwhile(*given: Any, **named: Any) -> Any:
        first.write_text("mine")
        second.write_text("mine too")
        return work(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, meanwhile)
        done = shell(command, *arguments)
    assert done.status == 1
    said = f"xpnet {command}: {first} has come into being meanwhile and is left as it is; written to {third} instead"
    assert said in done.err.splitlines()
    assert (first.read_text(), second.read_text()) == ("mine", "mine too")
    assert shell(command, *arguments, "--force").status == 0
    assert third.read_bytes() == first.read_bytes()
    assert second.read_text() == "mine too"


def test_a_command_that_fails_leaves_no_empty_file(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise xpnet.CheckpointError("no")

    monkeypatch.setattr(train, "save_model", fail)
    assert shell("train", "shop.csv", "--target", "grade", "--drop", "price", *QUICK).err.endswith("xpnet train: no\n")
    assert [path.name for path in Path().iterdir()] == ["shop.csv"]


def test_options_reach_the_network(shell: Shell, backend_name: str) -> None:
    found = trained(
        shell, "grade", "--hidden", "7,5", "--dropout", "0.2", "--activation", "tanh", "--optimizer", "sgd",
        "--dtype", "float64", "--backend", backend_name, "--out", "own.safetensors", "--balanced",
    ).json()  # fmt: skip
    net = xpnet.load("own.safetensors")
    layers = [xpnet.Dense(7), xpnet.Tanh(), xpnet.Dropout(0.2), xpnet.Dense(5), xpnet.Tanh(), xpnet.Dropout(0.2)]
    assert net.model.layers == (*layers, xpnet.Dense(2))
    assert net.optimizer == xpnet.SGD(0.02)
    assert net.backend.dtype == "float64"
    assert (found["backend"], found["model"]) == (backend_name, "own.safetensors")
    assert net.epochs == found["epochs"] <= 15


def test_the_best_epoch_is_kept(shell: Shell) -> None:
    done = shell("train", "shop.csv", "--target", "grade", "--drop", "price", "--learning-rate", "0.5", "--patience",
                 "3", "--json", "--epochs", "200")  # fmt: skip
    net = xpnet.load("shop.safetensors")
    best = int(np.argmin(net.history["val_loss"]))
    assert net.epochs == best + 4
    assert f"kept the weights of epoch {best + 1}," in done.err
    assert f"epoch {best + 1:3d}/200  loss" in done.err, "progress goes to standard error"
    assert done.json()["epochs"] == net.epochs


def test_without_parts_to_hold_out(shell: Shell) -> None:
    found = trained(shell, "grade", "--test", "0", "--validation", "0").json()
    assert found["rows"] == {"training": ROWS, "validation": 0, "test": 0}
    assert found["training"]["rows"] == ROWS
    done = shell("train", "shop.csv", "--target", "grade", "--drop", "price", "--test", "40", "--force", *QUICK)
    assert "40 for test" in done.err
    assert "on the test rows, which were not trained on" in done.out


def test_rows_without_an_answer_are_left_out(shell: Shell) -> None:
    rows = [dict(row, grade="?") if i < 5 else row for i, row in enumerate(SHOP)]
    write(Path("shop.csv"), rows)
    done = trained(shell)
    assert "5 rows without a value of 'grade' are left out" in done.err
    assert sum(done.json()["rows"].values()) == ROWS - 5
    done = shell("evaluate", "shop.safetensors", "shop.csv", "--json")
    assert done.json()["rows"] == ROWS - 5
    assert len(shell("predict", "shop.safetensors", "shop.csv").table()) == ROWS


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


# Tasks


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
        ("auto", "same", "at least 2 classes"),
        ("auto", "empty", "holds no values"),
    ],
)
def test_targets_that_cannot_be(shell: Shell, task: str, column: str, words: str) -> None:
    write(Path("t.csv"), [{**row, "same": "x", "empty": ""} for row in SHOP])
    done = shell("train", "t.csv", "--target", column, "--task", task, *QUICK)
    fails(done, words)
    assert not Path("t.safetensors").exists()


def test_a_rare_class_does_not_stop_the_training(shell: Shell) -> None:
    rows = [{"a": str(i), "b": "rare" if i == 7 else ["x", "y"][i % 2]} for i in range(60)]
    write(Path("rare.csv"), rows)
    done = shell("train", "rare.csv", "--target", "b", "--json", "--epochs", "1", "--quiet")
    assert done.status == 0
    assert "split by chance alone" in done.err
    assert done.json()["classes"] == ["rare", "x", "y"]


def test_numbers_as_categories(shell: Shell) -> None:
    write(Path("n.csv"), [{"a": str(i % 4), "b": "odd" if i % 2 else "even"} for i in range(80)])
    found = shell("train", "n.csv", "--target", "b", "--categorical", "a", "--json", *QUICK).json()
    assert found["features"] == 4
    assert found["test"]["accuracy"] == 1.0
    fails(shell("train", "n.csv", "--target", "b", "--categorical", "c", "--force"), "no column 'c'")
    fails(shell("train", "n.csv", "--target", "b", "--drop", "a", "--force"), "no column to learn from")


def test_a_training_that_diverges_writes_no_model(shell: Shell) -> None:
    done = shell("train", "shop.csv", "--target", "price", "--drop", "grade", "--optimizer", "sgd",
                 "--learning-rate", "1e30", "--quiet")  # fmt: skip
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("xpnet train: training went out of bounds in epoch 1")
    assert not Path("shop.safetensors").exists()


def test_a_preparation_beyond_what_a_file_holds(shell: Shell) -> None:
    wide = {f"column with a long name {i} {'x' * 400}": "1" for i in range(1200)}
    write(Path("wide.csv"), [{**wide, "y": str(i % 2)} for i in range(10)])
    done = shell("train", "wide.csv", "--target", "y", *QUICK)
    assert done.status == 1
    assert "more than the 524,288 that a model file holds" in done.err


def test_an_absent_backend(shell: Shell) -> None:
    done = shell("train", "shop.csv", "--target", "grade", "--drop", "price", "--backend", "numpyy", "--quiet")
    assert done.status == 1
    assert "did you mean 'numpy'" in done.err.splitlines()[-1]


# Model files


def test_files_that_are_no_model_of_the_shell(shell: Shell) -> None:
    fails(shell("predict", "missing.safetensors", "shop.csv"), "missing.safetensors")
    fails(shell("predict", "shop.csv", "shop.csv"), "shop.csv")
    xpnet.Network([xpnet.Dense(2)], inputs=3).save("plain.safetensors")
    fails(shell("predict", "plain.safetensors", "shop.csv"), "not made by xpnet train")


def small(classes: Any = ("a", "b"), **target: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "target": {"name": "y", "classes": classes, "numeric": False, "mean": 0.0, "deviation": 1.0, **target},
        "inputs": [{"kind": "number", "name": "x", "mean": 0.0, "deviation": 1.0, "missing": False}],
    }


def with_input(**changes: Any) -> dict[str, Any]:
    found = small()
    found["inputs"][0] |= changes
    return found


HOSTILE = {
    "no JSON": "{",
    "no object": "[]",
    "nesting": "[" * 100_000,
    "version": {**small(), "version": 2},
    "no inputs": {**small(), "inputs": []},
    "a module for a kind": with_input(kind="os.system"),
    "a number for a name": with_input(name=3),
    "a text for a mean": with_input(mean="1"),
    "an infinite mean": '{"version":1,"target":{"name":"y","classes":null,"numeric":false,"mean":1e999,'
    '"deviation":1},"inputs":[]}',
    "an integer beyond every float": with_input(mean=10**400),
    "a number for a flag": with_input(missing=1),
    "categories twice": with_input(kind="category", values=["a", "a"]),
    "more features than the network takes": with_input(kind="category", values=["a", "b"]),
    "a vast array": with_input(kind="block", shape=[2**30, 2**30], mean=[0.0], deviation=[1.0]),
    "a negative size": with_input(kind="block", shape=[-1], mean=[0.0], deviation=[1.0]),
    "means that do not fit": with_input(kind="block", shape=[1], mean=[0.0, 1.0], deviation=[1.0, 1.0]),
    "one class": small(["a"]),
    "classes twice": small(["a", "a"]),
    "another number of classes": small(["a", "b", "c"]),
    "no classes": small(None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_preparation_is_refused(shell: Shell, name: str) -> None:
    text = HOSTILE[name]
    net = xpnet.Network([xpnet.Dense(2)], inputs=1)
    save(net, "bad.safetensors", notes={"table": text if isinstance(text, str) else json.dumps(text)})
    write(Path("new.csv"), [{"x": "1"}])
    fails(shell("predict", "bad.safetensors", "new.csv"))


def test_the_good_twin_of_the_hostile_ones_works(shell: Shell) -> None:
    save(xpnet.Network([xpnet.Dense(2)], inputs=1), "good.safetensors", notes={"table": json.dumps(small())})
    write(Path("new.csv"), [{"x": "1"}])
    assert shell("predict", "good.safetensors", "new.csv").status == 0


def test_a_loss_that_does_not_fit_the_target(shell: Shell) -> None:
    net = xpnet.Network([xpnet.Dense(2)], loss="mse", inputs=1)
    save(net, "odd.safetensors", notes={"table": json.dumps(small())})
    write(Path("new.csv"), [{"x": "1"}])
    fails(shell("predict", "odd.safetensors", "new.csv"), "does not fit the target 'y'")


def test_notes_cannot_stand_in_for_the_network(tmp_path: Path) -> None:
    net = xpnet.Network([xpnet.Dense(2)], inputs=1)
    with pytest.raises(xpnet.ConfigurationError, match="'xpnet'"):
        save(net, tmp_path / "net.safetensors", notes={"xpnet": "{}"})
    net.save(tmp_path / "net.safetensors")
    assert read_notes(tmp_path / "net.safetensors") == {}
    (tmp_path / "text").write_text("a,b\n")
    for name in ("text", "missing"):
        with pytest.raises(xpnet.CheckpointError, match=name):
            read_notes(tmp_path / name)


# Export


@pytest.mark.parametrize(("target", "method"), [("grade", "predict"), ("price", "forward")])
def test_export_takes_the_table_s_own_units(shell: Shell, target: str, method: str) -> None:
    """The graph, fed with the file's numbers and a 1 for each row's color, gives what the shell's network gives."""
    for module in ("ndonnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    trained(shell, target)
    done = shell("export", "shop.safetensors", "shop.onnx", "--json", *["--link"] * (method == "predict"))
    assert done.status == 0, done.err
    found = done.json()
    assert found["features"] == [*(f"color = {color}" for color in COLORS), "size", "size is missing"]
    assert "rows of 5 features, float32: color = blue, color = green, color = red, size, size is missing" in done.err

    (size,) = (entry for entry in found["preparation"]["inputs"] if entry["name"] == "size")
    rows = [
        [*(float(row["color"] == color) for color in COLORS), size["mean"] if missing else float(row["size"]), missing]
        for row in SHOP
        for missing in [row["size"] == "NA"]
    ]
    session = InferenceSession("shop.onnx")
    (output,) = session.run(None, {"input": np.asarray(rows, np.float32)})
    model = load_model("shop.safetensors")
    features = model.preparation.features(read_table("shop.csv"), "float32")
    np.testing.assert_allclose(output, getattr(model.network, method)(features), rtol=1e-5, atol=1e-5)

    answers = [row[target] for row in shell("predict", "shop.safetensors", "shop.csv").table()]
    described = found["preparation"]["target"]
    if target == "grade":
        classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
        assert classes == described["classes"]
        assert [classes[i] for i in output.argmax(axis=1)] == answers
        assert "one number for each class: high, 'low, or so'" in done.err
    else:
        values = described["mean"] + described["deviation"] * output[:, 0]
        np.testing.assert_allclose(values, np.asarray(answers, float), rtol=1e-4, atol=1e-3)
        assert "it gives 'price' scaled: y = " in done.err


def test_export_scales_arrays_of_features(shell: Shell) -> None:
    for module in ("ndonnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    x = np.random.default_rng(0).integers(0, 256, (60, 3, 2)).astype(np.uint8)  # images have one mean for all
    np.savez("images.npz", x=x, y=(x[:, 0, 0] > 127).astype(int))
    assert shell("train", "images.npz", "--target", "y", *QUICK).status == 0
    done = shell("export", "images.safetensors", "images.onnx", "--json")
    assert done.json()["features"] == [f"x[{i}, {j}]" for i in range(3) for j in range(2)]
    (scores,) = InferenceSession("images.onnx").run(None, {"input": x.reshape(60, 6).astype(np.float32)})
    model = load_model("images.safetensors")
    features = model.preparation.features(read_table("images.npz"), "float32")
    np.testing.assert_allclose(scores, model.network.forward(features), rtol=1e-5, atol=1e-5)


def test_export_of_a_network_from_python_takes_what_it_was_trained_on(shell: Shell) -> None:
    for module in ("ndonnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    net = xpnet.Network([xpnet.Dense(2)], inputs=3, seed=0)
    net.save("net.safetensors")
    assert shell("export", "net.safetensors", "net.onnx").out == "written to net.onnx\n"
    fails(shell("export", "net.safetensors", "net.onnx"), "net.onnx exists", "--force")
    done = shell("export", "net.safetensors", "net.onnx", "--force", "--json")
    assert done.json() == {"onnx": "net.onnx", "features": None, "preparation": None}
    x = np.ones((4, 3), np.float32)
    (scores,) = InferenceSession("net.onnx").run(None, {"input": x})
    np.testing.assert_allclose(scores, net.forward(x), rtol=1e-6)


def test_export_names_the_extra_that_it_needs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    xpnet.Network([xpnet.Dense(2)], inputs=3).save("net.safetensors")
    monkeypatch.setitem(sys.modules, "ndonnx", None)
    fails(shell("export", "net.safetensors", "net.onnx"), "pip install 'xpnet[onnx]'")
    assert not Path("net.onnx").exists()

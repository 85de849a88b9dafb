"""``xpnet train``: from a table to a model file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from shop import COLORS, QUICK, ROWS, SHOP, Shell, fails, trained, write

import xpnet
from xpnet.checkpoint import read_notes
from xpnet.cli.tables import Table


def test_classes_with_texts_categories_and_gaps(shell: Shell) -> None:
    done = trained(shell)
    found = done.json()
    assert found["task"] == "classification"
    assert found["classes"] == ["high", "low, or so"]
    assert found["features"] == 5, "three colors, the size, and whether it is missing"
    assert found["left_out"] == {
        "key": f"it holds {ROWS} different texts in {ROWS} rows ('row 0', 'row 1', ...), as names and keys do"
    }
    assert found["columns"] == {"numbers": ["size"], "categories": ["color"], "arrays": [], "dropped": ["price"]}
    assert "\nnumbers: size; categories: color (3); dropped: price\n" in done.err
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


def test_a_model_goes_on_in_its_precision(shell: Shell) -> None:
    trained(shell, "grade", "--precision", "bfloat16", "--out", "low.safetensors")
    net = xpnet.load("low.safetensors")
    assert (net.backend.dtype, net.backend.precision) == ("float32", "bfloat16")
    trained(shell, "grade", "--precision", "float32", "--out", "own.safetensors")
    assert xpnet.load("own.safetensors").backend.precision == "float32"
    done = shell("train", "shop.csv", "--target", "grade", "--precision", "bfloat16", "--dtype", "float64", *QUICK)
    fails(done, "precision='bfloat16' goes with dtype='float32'; got dtype='float64'")


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
    names = [f"column with a long name {i} {'x' * 400}" for i in range(1200)]
    write(Path("wide.csv"), [{**dict.fromkeys(names, str(i % 3)), "y": str(i % 2)} for i in range(10)])
    done = shell("train", "wide.csv", "--target", "y", *QUICK)
    assert done.status == 1
    assert "more than the 524,288 that a model file holds" in done.err


def test_an_absent_backend(shell: Shell) -> None:
    done = shell("train", "shop.csv", "--target", "grade", "--drop", "price", "--backend", "numpyy", "--quiet")
    assert done.status == 1
    assert "did you mean 'numpy'" in done.err.splitlines()[-1]


def test_data_that_is_a_folder(shell: Shell) -> None:
    refused = "Permission denied" if os.name == "nt" else "Is a directory"
    fails(shell("train", ".", "--target", "grade"), f"cannot read .: {refused}")


def test_a_target_that_is_missing_may_be_one_of_the_columns(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.ones((4, 2)))
    for data, said in {
        "shop.csv": "name the column to predict; shop.csv has key, color, size, price, grade",
        "x.npy": "give the file of the labels for the rows of x.npy",
    }.items():
        with pytest.raises(SystemExit, match="2"):
            shell("train", data)
        shown = capsys.readouterr().err.splitlines()
        assert shown == [f"xpnet train: --target is missing: {said}", "xpnet train --help shows what there is"]
    fails(shell("train", "nothing.csv"), "cannot read nothing.csv")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--drop", "price,size", "--categorical", "color,size"),
            "--drop and --categorical both have 'size'; leave it",
        ),
        (("--patience", "3", "--validation", "0"), "--patience counts epochs without a better loss on the validation"),
        (("--balanced", "--target", "price"), "--balanced is for classes, and 'price' is a quantity; leave it out"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    arguments: tuple[str, ...], said: str, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("shop.safetensors").write_text("an earlier model")
    with pytest.raises(SystemExit, match="2"):
        shell("train", "shop.csv", "--target", "grade", *arguments)
    assert capsys.readouterr().err.startswith(f"xpnet train: {said}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "Grade"), "no column 'Grade'; did you mean 'grade'?"),
        (("--target", "grade,price"), "no column 'grade,price'"),
        (("--target", "grade", "--drop", "price,nothing"), "no column 'nothing'"),
        (("--target", "grade", "--backend", "numpyy"), "did you mean 'numpy'"),
    ],
)
def test_a_wrong_name_is_told_before_a_model_that_is_there(arguments: tuple[str, ...], said: str, shell: Shell) -> None:
    Path("shop.safetensors").write_text("an earlier model")
    fails(shell("train", "shop.csv", *arguments), said)
    fails(shell("train", "shop.csv", "--target", "grade"), "shop.safetensors exists; give --force to replace it")


def test_a_file_that_is_there_is_told_before_the_cells_are_parsed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(shell)
    model = ("shop.safetensors", "shop.csv")
    assert shell("predict", *model, "--out", "answers.csv").status == 0

    parsed, numbers = [], Table.numbers
    monkeypatch.setattr(Table, "numbers", lambda self, name: parsed.append(name) or numbers(self, name))
    fails(shell("train", "shop.csv", "--target", "grade"), "shop.safetensors exists; give --force to replace it")
    fails(shell("predict", *model, "--out", "answers.csv"), "answers.csv exists; give --force to replace it")
    assert {*parsed} <= {"grade"}, "the target alone, as its kind decides which options it may have"


def test_a_rare_class_that_is_never_predicted_is_told(shell: Shell) -> None:
    noise = np.random.default_rng(3).normal(size=(400, 2))
    kinds = ["fraud" if i % 16 == 0 else "fine" for i in range(400)]
    rows = [{"a": f"{a:.3f}", "b": f"{b:.3f}", "y": kind} for (a, b), kind in zip(noise, kinds, strict=True)]
    write(Path("f.csv"), rows)
    arguments = ("train", "f.csv", "--target", "y", "--force", *QUICK)
    told = "never predicted, though among the test rows: fraud (5 rows); --balanced lets rare classes count"
    assert told in shell(*arguments).err
    assert "never predicted" not in shell(*arguments, "--balanced").err
    assert "never predicted" not in trained(shell, "grade").err


def test_a_class_of_nearly_an_equal_share_is_not_called_rare(shell: Shell) -> None:
    write(Path("f.csv"), [{"a": str(i % 2), "y": f"class {i % 6}"} for i in range(200)])
    done = shell("train", "f.csv", "--target", "y", "--json", "--epochs", "1", "--quiet")
    confusion = np.array(done.json()["test"]["confusion"])
    assert sorted(confusion.sum(axis=1)) == [6, 6, 7, 7, 7, 7]
    assert ((confusion.sum(axis=0) == 0) & (confusion.sum(axis=1) == 6)).any(), "two kinds of rows, two predictions"
    assert "never predicted" not in done.err

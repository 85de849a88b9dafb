"""``xpnet train --checkpoint DIR``: what was ended goes on to the same bits, and on nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import SHOP, Shell, write

import xpnet
from xpnet.cli import checkpointing

COMMAND = ("train", "shop.csv", "--target", "grade", "--drop", "price", "--hidden", "16", "--force")


def train(shell: Shell, *more: str) -> Any:
    return shell(*COMMAND, "--checkpoint", "run", *more)


def weights() -> Mapping[str, Any]:
    return xpnet.load("shop.safetensors").get_weights()


def same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name in found:
        np.testing.assert_array_equal(found[name], wanted[name])


@pytest.fixture
def uninterrupted(shell: Shell) -> Mapping[str, Any]:
    """Return the weights after nine epochs in one go."""
    assert shell(*COMMAND, "--epochs", "9").status == 0
    return weights()


def test_a_training_goes_on_to_the_same_bits(shell: Shell, uninterrupted: Mapping[str, Any]) -> None:
    begun = train(shell, "--epochs", "4")
    assert begun.status == 0, begun.err
    assert "going on" not in begun.err
    assert not np.array_equal(weights()["0.weight"], uninterrupted["0.weight"])
    done = train(shell, "--epochs", "9")
    assert done.status == 0, done.err
    assert "\ngoing on with the run in run, after 4 epochs\n" in done.err
    same(weights(), uninterrupted)
    same(weights(), uninterrupted)


def test_nothing_is_trained_where_the_training_had_ended(shell: Shell, uninterrupted: Mapping[str, Any]) -> None:
    assert train(shell, "--epochs", "9").status == 0
    again = train(shell, "--epochs", "9")
    said = "nothing is trained: the run in run ended after 9 epochs; a larger number of epochs goes on\n"
    assert said in again.err
    assert "nothing is trained: the run had ended after 9 epochs\n" in train(shell, "--epochs", "9", "--quiet").err
    same(weights(), uninterrupted)
    stopping = ("--patience", "1", "--learning-rate", "0.5", "--checkpoint", "other", "--json")
    first = shell(*COMMAND, *stopping, "--epochs", "200").json()
    assert first["kept_epoch"] < first["epochs"] < 200
    again = shell(*COMMAND, *stopping, "--epochs", "300")
    assert f"nothing is trained: the run in other was stopped after {first['epochs']} epochs\n" in again.err
    again = shell(*COMMAND, *stopping, "--epochs", "300", "--quiet")
    assert f"nothing is trained: the run had ended after {first['epochs']} epochs, by --patience\n" in again.err
    assert {**again.json(), "model": ""} == {**first, "model": ""}


def test_after_ctrl_c_the_same_command_goes_on(
    shell: Shell, uninterrupted: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, epoch: int, logs: Any) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpointing, "EVERY", "1 epoch")
    with monkeypatch.context() as patch:
        patch.setattr(xpnet.TerminateOnNaN, "on_epoch_end", interrupt)
        ended = train(shell, "--epochs", "9")
    assert ended.status == 130
    last = max(Path("run").glob("step-*"))
    assert ended.err.endswith(f"; no model was written; the same command goes on from {last}\n")
    done = train(shell, "--epochs", "9")
    assert done.status == 0, done.err
    assert "going on with the run in run, after 3 epochs\n" in done.err
    same(weights(), uninterrupted)


def test_nothing_is_promised_where_nothing_was_saved(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Any, epoch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(xpnet.TerminateOnNaN, "on_epoch_end", interrupt)
    assert train(shell, "--epochs", "9").err.endswith("; no model was written; nothing was kept in run yet\n")


def test_other_data_is_refused(shell: Shell) -> None:
    assert train(shell, "--epochs", "2").status == 0
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    rows = [dict(row) for row in SHOP]
    rows[0]["size"], rows[1]["size"] = "7.5", "3.25"
    write(Path("shop.csv"), rows)
    done = train(shell, "--epochs", "4", "--quiet")
    assert done.status == 1
    last = done.err.splitlines()[-1]
    assert all(words in last for words in ("--checkpoint run", "other data", "name another folder"))
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--hidden", "8,4"), "--hidden 16, and not --hidden 8,4"),
        (("--seed", "3"), "--seed 0, and not --seed 3"),
        (("--batch-size", "16"), "--batch-size 32, and not --batch-size 16"),
        (("--dtype", "float64"), "--dtype float32, and not --dtype float64"),
        (("--precision", "bfloat16"), "no --precision, and not --precision bfloat16"),
        (("--balanced",), "no --balanced, and not --balanced"),
        (("--patience", "3"), "--patience 10, and not --patience 3"),
        (("--test", "0.3"), "--test 0.2, and not --test 0.3"),
        (("--categorical", "size"), "no --categorical, and not --categorical size"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_options_are_refused(shell: Shell, option: tuple[str, ...], told: str) -> None:
    assert train(shell, "--epochs", "2").status == 0
    done = train(shell, "--epochs", "4", *option)
    assert done.status == 1
    assert told in done.err.splitlines()[-1]
    assert "name another folder" in done.err.splitlines()[-1]
    assert "going on" not in done.err


def test_a_diverged_training_names_the_folder(shell: Shell) -> None:
    done = train(shell, "--epochs", "5", "--learning-rate", "1e20")
    assert done.status == 1
    assert "give a smaller --learning-rate and another --checkpoint" in done.err


def test_a_folder_of_something_else_is_refused(shell: Shell) -> None:
    x, y = np.zeros((4, 2)), np.zeros(4, dtype=int)
    xpnet.Network([xpnet.Dense(2)]).fit(x, y, checkpoint="run", verbose=0)
    assert "no training.json" in train(shell, "--epochs", "2").err.splitlines()[-1]
    Path("run/training.json").write_text("[]")
    assert "no training.json" in train(shell, "--epochs", "2").err.splitlines()[-1]


def test_a_damaged_state_is_passed_over_in_plain_words(shell: Shell) -> None:
    assert train(shell, "--epochs", "2").status == 0
    (path,) = Path("run").glob("step-*")
    path.with_name("step-0000000999.safetensors").write_bytes(path.read_bytes()[:1000])
    done = train(shell, "--epochs", "3")
    assert done.status == 0, done.err
    assert "is passed over" in done.err
    assert "going on with the run in run, after 2 epochs" in done.err
    assert "RuntimeWarning" not in done.err


def test_a_file_is_no_folder_and_nothing_is_none(shell: Shell) -> None:
    Path("run").write_text("")
    assert "is a file, where a folder" in train(shell, "--epochs", "2").err
    with pytest.raises(SystemExit):
        shell(*COMMAND, "--checkpoint", "")


def test_only_classes_are_balanced(shell: Shell) -> None:
    with pytest.raises(SystemExit):
        shell("train", "shop.csv", "--target", "price", "--drop", "grade", "--balanced")

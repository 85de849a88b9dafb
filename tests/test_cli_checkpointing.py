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
    assert "\ngoing on from run/step-" in done.err.replace("\\", "/")
    same(weights(), uninterrupted)
    assert "epoch" not in train(shell, "--epochs", "9", "--quiet").err.partition("going on")[2].partition("kept")[0]
    same(weights(), uninterrupted)  # nothing is left to do


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
    last = max(Path("run").glob("*"))
    assert ended.err.endswith(f"; no model was written; the same command goes on from {last}\n")
    done = train(shell, "--epochs", "9")
    assert done.status == 0, done.err
    assert f"going on from {last}\n" in done.err
    same(weights(), uninterrupted)


def test_nothing_is_promised_where_nothing_was_saved(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Any, epoch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(xpnet.TerminateOnNaN, "on_epoch_end", interrupt)
    assert train(shell, "--epochs", "9").err.endswith("; no model was written\n")


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
        (("--hidden", "8"), "layers"),
        (("--seed", "3"), "seed"),
        (("--batch-size", "16"), "batch_size"),
        (("--dtype", "float64"), "dtype"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_options_are_refused(shell: Shell, option: tuple[str, str], told: str) -> None:
    assert train(shell, "--epochs", "2").status == 0
    done = train(shell, "--epochs", "4", *option)
    assert done.status == 1
    assert told in done.err.splitlines()[-1]
    assert "name another folder" in done.err.splitlines()[-1]


def test_a_file_is_no_folder(shell: Shell) -> None:
    Path("run").write_text("")
    assert "is a file, where a folder" in train(shell, "--epochs", "2").err

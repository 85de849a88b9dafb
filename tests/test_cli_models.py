"""Model files of the shell: what is none, or says what cannot be, is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shop import Shell, fails, write

import xpnet
from xpnet.checkpoint import read_notes, save


def test_files_that_are_no_model_of_the_shell(shell: Shell) -> None:
    fails(shell("predict", "missing.safetensors", "shop.csv"), "missing.safetensors")
    fails(shell("predict", "shop.csv", "shop.csv"), "shop.csv")
    xpnet.Network([xpnet.Dense(2)], inputs=3).save("plain.safetensors")
    fails(shell("predict", "plain.safetensors", "shop.csv"), "no model file of xpnet train")


def test_info_shows_what_a_model_file_holds(shell: Shell) -> None:
    out = shell("train", "shop.csv", "--target", "grade", "--drop", "key,price", "--epochs", "2", "--hidden", "8")
    assert out.status == 0, out.err
    lines = shell("info", "shop.safetensors").out.splitlines()
    assert lines[0] == "Network on numpy (cpu), float32"
    assert lines[-4].startswith("trained for 2 epochs, the last of which gave loss ")
    assert lines[-3] == "its weights are those of the epoch with the lowest val_loss"
    assert lines[-2:] == ["predicts 'grade': high, 'low, or so'", "from numbers: size; categories: color (3)"]
    found = shell("info", "shop.safetensors", "--json").json()
    assert (found["target"], found["classes"], found["epochs"]) == ("grade", ["high", "low, or so"], 2)
    assert found["columns"] == {"color": "category", "size": "number"}
    assert found["layers"] == ["Dense(8)", "ReLU()", "Dense(2)"]
    assert set(found["last_epoch"]) > {"loss", "val_loss"}
    shell("train", "shop.csv", "--target", "price", "--drop", "key,grade", "--epochs", "1", "--force")
    assert "predicts 'price', a quantity" in shell("info", "shop.safetensors").out


def test_info_shows_a_network_that_python_saved(shell: Shell) -> None:
    xpnet.Network([xpnet.Dense(2)], inputs=3).save("plain.safetensors")
    assert shell("info", "plain.safetensors").out.splitlines()[-1] == "8 parameters, 0 steps trained"
    xpnet.Network([xpnet.Dense(2)]).save("plain.safetensors")
    found = shell("info", "plain.safetensors", "--json").json()
    assert (found["inputs"], found["parameters"], found["epochs"]) == (None, None, 0)
    fails(shell("info", "shop.csv"), "shop.csv is not an xpnet file")
    fails(shell("info", "nothing"), "cannot read nothing")


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


def notation(**changes: Any) -> dict[str, Any]:
    return {"decimal": ".", "thousands": "", "missing": [], "units": [], **changes}


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
    "one mark for two things": {**small(), "notation": notation(decimal=",", thousands=",")},
    "a mark that there is not": {**small(), "notation": notation(decimal="x")},
    "a list for a mark": {**small(), "notation": notation(thousands=["."])},
    "a number for a missing value": {**small(), "notation": notation(missing=[0])},
    "a number for a kept text": {**small(), "notation": notation(kept=[0])},
    "a text for units": {**small(), "notation": notation(units="kg")},
    "half a notation": {**small(), "notation": {"decimal": ","}},
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
    net = xpnet.Network([xpnet.Dense(2)], inputs=1)
    german = notation(decimal=",", thousands=".", missing=["-"], units=["kg"])
    kept = notation(kept=["NA"])
    for cell, more in {"1": {}, "-1.000,5 kg": {"notation": german}, "NA": {"notation": kept}}.items():
        save(net, "good.safetensors", notes={"table": json.dumps(small() | more)})
        write(Path("new.csv"), [{"x": cell}])
        assert shell("predict", "good.safetensors", "new.csv", "--delimiter", ";").status == 0


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

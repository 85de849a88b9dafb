"""Where commands write: nothing that is there is lost, nothing empty is left."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import QUICK, Shell, fails, trained, write

import xpnet
from xpnet import Network
from xpnet.cli import export, main, train
from xpnet.cli.output import warnings_as_notes


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


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_no_command_writes_over_what_it_reads(link: Any, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(shell, "grade", "--out", "m.safetensors")
    np.save("x.npy", np.eye(40, 3))
    np.save("y.npy", np.arange(40) % 2)
    Path("m.onnx").write_bytes(Path("m.safetensors").read_bytes())  # a model of this library, for export
    read = ("shop.csv", "m.safetensors", "m.onnx", "x.npy", "y.npy")
    before = {name: Path(name).read_bytes() for name in read}
    out = {name: name if link is None else f"other-{name}" for name in read}
    for name in read if link else ():
        link(name, out[name])

    def refused(name: str, *arguments: str, what: str | None = None) -> None:
        done = shell(*arguments, "--force")
        fails(done, f"cannot write {out[name]}: it is {what or name}, which is read; name another file")

    refused("shop.csv", "train", "shop.csv", "--target", "grade", "--out", out["shop.csv"])
    refused("x.npy", "train", "x.npy", "--target", "y.npy", "--out", out["x.npy"])
    refused("y.npy", "train", "x.npy", "--target", "y.npy", "--out", out["y.npy"])
    refused("shop.csv", "predict", "m.safetensors", "shop.csv", "--out", out["shop.csv"])
    refused("m.safetensors", "predict", "m.safetensors", "shop.csv", "--out", out["m.safetensors"])
    refused("m.onnx", "export", "m.onnx", out["m.onnx"])
    with open("shop.csv", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        refused("shop.csv", "predict", "m.safetensors", "-", "--out", out["shop.csv"], what="standard input")
    assert {name: Path(name).read_bytes() for name in read} == before


def test_a_column_with_the_name_of_the_model_file_is_no_file(shell: Shell) -> None:
    Path("grade").write_text("an earlier model")
    assert trained(shell, "grade", "--out", "grade", "--force").status == 0


def test_a_command_that_fails_leaves_no_empty_file(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise xpnet.CheckpointError("no")

    monkeypatch.setattr(train, "save_model", fail)
    assert shell("train", "shop.csv", "--target", "grade", "--drop", "price", *QUICK).err.endswith("xpnet train: no\n")
    assert [path.name for path in Path().iterdir()] == ["shop.csv"]


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(shell, "grade", "--out", "m.safetensors")
    monkeypatch.setattr(Network, "fit", None)
    monkeypatch.setattr(Network, "predict", None)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # to root, every folder can be written to
    done = shell("train", "shop.csv", "--target", "grade", "--out", "there.safetensors")
    fails(done, "cannot write there.safetensors: you may not write in the folder .; name another")
    fails(shell("predict", "m.safetensors", "shop.csv", "--out", "a.csv"), "cannot write a.csv")


def test_warnings_are_shown_as_before_after_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python 3.14 without the GIL leaves it to whoever has changed how they are shown."""
    with warnings.catch_warnings():
        before = warnings.showwarning
        with monkeypatch.context() as patch:
            patch.setattr(warnings, "catch_warnings", contextlib.nullcontext)
            with contextlib.suppress(KeyError), warnings_as_notes():
                warnings.warn("look", stacklevel=1)
                raise KeyError
        assert warnings.showwarning is before
    assert capsys.readouterr().err == "look\n"


LOCALES = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_piped_is_utf_8_whatever_the_locale(locale: str, tmp_path: Path) -> None:
    names = ["Łódź", "日本"]
    write(tmp_path / "cities.csv", [{"size": str(i), "city": names[i % 2]} for i in range(40)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONIO", "PYTHONUTF"))}

    def run(command: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "xpnet", command, *arguments], cwd=tmp_path, capture_output=True, timeout=120,
            env=environment | LOCALES[locale], check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    found = json.loads(run("train", "cities.csv", "--target", "city", "--json", *QUICK))
    assert found["classes"] == names
    header, *answers = run("predict", "cities.safetensors", "cities.csv").split("\n")
    assert (header, answers.pop(), len(answers)) == ("city", "", 40)
    assert set(answers) <= set(names)
    assert set(json.loads(run("predict", "cities.safetensors", "cities.csv", "--json"))["city"]) <= set(names)


def test_what_goes_to_a_file_has_line_feeds_alone(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where standard output writes a carriage return before each."""
    trained(shell, "grade", "--out", "m.safetensors")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252", newline="\r\n"))
    assert main(["predict", "m.safetensors", "shop.csv"]) == 0
    assert b"\n" in raw.getvalue()
    assert b"\r" not in raw.getvalue()

"""Arguments: what is wrong with them is told in two lines, and what they say is read."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from shop import Shell, fails

import xpnet
from xpnet import foreign_names
from xpnet.cli import main
from xpnet.cli.option_types import as_option, names, sizes, spell_separator

WRONG = {
    "": "the following arguments are required: COMMAND",
    "infos": "infos",
    "tarin": "; did you mean 'train'?",
    "info --yaml": "there is no option --yaml",
    "info model extra": "unexpected argument: extra",
    "train": "the following arguments are required: DATA",
    "train data.csv --taget y": "there is no option --taget; did you mean --target?",
    "train data.csv --target y --epoch=3": "there is no option --epoch; did you mean --epochs?",
    "train data.csv --target y -o model": "there is no option -o; did you mean --out?",
    "train data.csv -t y": "there is no option -t; did you mean --target?",
    "train data.csv --target y --lr 0.1": "there is no option --lr; did you mean --learning-rate?",
    "train data.csv --target y --gpu": "there is no option --gpu; did you mean --device?",
    "train data.csv --target y --zzz": "there is no option --zzz",
    "train data.csv extra.csv --target y": "unexpected argument: extra.csv",
    "train data.csv --target y --drop x,y": "--drop has the target 'y'",
    "train data.csv --target y --decimal , --thousands ,": "both before fractions and between thousands",
    "train data.csv --target y --keep red": "must be of #n/a, <na>, ?, n.a., n/a, na, nan, none, null, as all",
    "train data.csv --target y --keep NA,none --missing None": "'None' cannot be both a missing value (--missing) and",
    "train data.csv --target y --thousands ;": "must be , or . or apostrophe or space or none; got ';'",
    "train data.csv --target y --encoding klingon": "such as cp1252; got 'klingon'",
    "train data.csv --target y --encoding rot13": "such as cp1252; got 'rot13'",
    "train data.csv --target y --epochs 0": "at least 1",
    "train data.csv --target y --hidden 8,x": "at least 1 with commas and no spaces between, as in 64,32; got '8,x'",
    "train data.csv --target y --hidden (64,32)": "as in 64,32; got '(64,32)'",
    "train data.csv --target y --hidden 32, 16": "no spaces between, as in 64,32; got '32,'",
    "train data.csv --target y --dropout 1": "from 0 to below 1",
    "train data.csv --target y --learning-rate nan": "above 0",
    "train data.csv --target y --test -1": "--test",
    "train data.csv --target y --optimizer Adam": "; did you mean 'adam'?",
    "train data.csv --target y --precision bf16": "; did you mean 'bfloat16'?",
    "train data.csv --target y --drop id sold": "unexpected argument: sold; write --drop id,sold",
    "train data.csv --target y --drop id sold size": "unexpected arguments: sold size; write --drop id,sold,size",
    "train data.csv --target y z --quiet": "unexpected argument: z",
    "train data.csv --target y --activation softmax": "softmax",
    "train data.csv --target y --delimiter ab": "one character",
    "predict model": "DATA",
    "export model": "FILE",
    "bench 3,2 --rounds x": "--rounds",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_arguments_are_two_lines(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason, and where to read on: not the whole usage."""
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    shown = capsys.readouterr()
    reason, hint = shown.err.splitlines()
    command = line.split()[0] if len(line.split()) > 1 or line == "train" else ""
    assert reason.startswith(f"xpnet {command}".strip() + ": ")
    assert WRONG[line] in reason
    assert hint == f"xpnet {command}".strip() + " --help shows what there is"
    assert shown.out == ""


def test_sizes_with_a_space_between_are_told_of_the_comma(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "data.csv", "--target", "y", "--hidden", "64 32"])
    assert "with commas and no spaces between, as in 64,32; got '64 32'" in capsys.readouterr().err
    assert sizes("64, 32") == (64, 32)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"xpnet {xpnet.__version__}\n")


def test_each_option_of_other_commands_is_advised_as_one_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ""
    for command in ("train", "predict"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown += capsys.readouterr().out
    for theirs, ours in foreign_names.OPTIONS.items():
        assert f"--{ours} " in shown
        assert f"--{theirs} " not in shown


def test_what_stands_behind_two_hyphens_is_no_option(shell: Shell) -> None:
    Path("--data.csv").write_bytes(Path("shop.csv").read_bytes())
    fails(shell("train", "--target", "nothing", "--", "--data.csv"), "--data.csv has no column 'nothing'")


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["a", "b c"], "--drop 'a,b c'"),
        (["price, net", 'so "called"'], """--drop '"price, net","so ""called\"""'"""),
        (["-", "x"], "--drop=-,x"),
    ],
)
def test_texts_of_an_option_are_read_as_they_are_shown(values: list[str], shown: str) -> None:
    assert as_option("--drop", values) == shown
    (word, *more) = shlex.split(shown)
    assert names((more or [word.partition("=")[2]])[0]) == tuple(values)


def test_on_windows_an_option_is_quoted_for_cmd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpnet.extras.WINDOWS", True)
    assert as_option("--drop", ["size", "price, net"]) == '--drop "size,""price, net"""'
    assert as_option("--drop", ["unit price"]) == '--drop "unit price"'
    assert spell_separator("$") == '"$"'

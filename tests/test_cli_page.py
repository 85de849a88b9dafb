"""The page about the shell: its commands run, one after the other, and do what it says."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "shell.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell")
def test_the_page_s_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "xpnet").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m xpnet "$@"\n')
    (tools / "xpnet").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = []
    for language, code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(code, PAGE.name, "exec"), names)
        elif language == "sh":
            done = subprocess.run(["sh", "-e", "-c", code], capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, f"{code}\n{done.stderr}"
            shown.append(done)
    first, _, gone_on, piped, evaluated, info, comma, bench = shown
    assert "the target is text" in first.stderr
    assert "column 'number' is left out: it holds 400 different texts" in first.stderr
    assert "model written to fruit.safetensors" in first.stdout
    assert "going on with the run in fruit-run, after 5 epochs" in gone_on.stderr
    assert json.loads(Path("price.json").read_text())["test"]["r2"] > 0.9
    with open("answers.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 400
    counted = dict(reversed(line.split()) for line in piped.stdout.splitlines())
    assert sum(int(n) for kind, n in counted.items() if kind != "kind") == 400
    assert json.loads(Path("figures.json").read_text())["accuracy"] > 0.95
    assert "accuracy" in evaluated.stdout
    assert "predicts 'kind': apple, cherry, melon\nfrom numbers: weight; categories: color (3)\n" in info.stdout
    assert "numbers: weight; categories: color (3); dropped: price" in comma.stderr
    refused = subprocess.run(
        ["xpnet", "train", "obst.csv", "--target", "kind", "--drop", "price", "--out", "other"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr.strip() in " ".join(PAGE.read_text(encoding="utf-8").split())
    assert "says nothing of one" in bench.stdout
    assert json.loads(Path("bench.json").read_text())["parameters"] == 784 * 256 + 256 + 256 * 10 + 10

"""Types as users' checkers see them: programs that must have no errors, and one whose errors must be found."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = ROOT / "tests" / "typed"

MYPY = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
PYRIGHT = ["pyright", "--pythonpath", sys.executable]


def check(command: list[str], path: Path) -> None:
    """Run a checker in the checkout, whose packages it then finds first; mypy goes by the project's strict settings."""
    if command is MYPY:
        pytest.importorskip("mypy")
    elif not shutil.which(command[0]):
        pytest.skip(f"there is no {command[0]}")
    done = subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_programs_have_the_errors_that_they_mark_and_no_others(command: list[str]) -> None:
    check(command, PROGRAMS)


def test_the_readme_s_tour_has_none(tmp_path: Path) -> None:
    (tour,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    program = tmp_path / "tour.py"
    program.write_text(tour, encoding="utf-8")
    check(MYPY, program)

"""How much disk each extra takes: every one installed by pip into a virtual environment of its own.

    python -m benchmarks.installed_sizes --out docs/sizes.json
    python -m benchmarks.installed_sizes --only core torch --constraint torch==2.13.0

Counted is everything that installing adds to the environment, xpnet and compiled files included, pip itself not: some
packages lay their libraries beside site-packages.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CORE = "core"
"""The name here of an installation without extras."""

Found = dict[str, Any]


def extras() -> list[str]:
    """Every extra of the project, behind the bare core."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [CORE, *project["optional-dependencies"]]


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def measure(extra: str, constraints: list[str]) -> Found:
    """Install one extra alone; return the day, its bytes and the versions of what came with it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        chosen = Path(folder) / "constraints.txt"
        chosen.write_text("\n".join(constraints), encoding="utf-8")
        empty = size_of(place)
        target = str(ROOT) if extra == CORE else f"{ROOT}[{extra}]"
        pip = [sys.executable, "-m", "pip", "--python", str(place), "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "--constraint", str(chosen), target], check=True)
        listed = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True)
        size = size_of(place) - empty
        shutil.rmtree(place)
    packages = {item["name"]: item["version"] for item in json.loads(listed.stdout)}
    return {"date": time.strftime("%Y-%m-%d"), "bytes": size, "packages": packages}


def main(arguments: list[str] | None = None) -> Found:
    parser = argparse.ArgumentParser(description="Measure the installed size of each extra.")
    parser.add_argument("--only", nargs="+", choices=extras(), default=extras(), metavar="EXTRA")
    parser.add_argument("--constraint", nargs="+", default=[], help="versions for pip, such as torch==2.13.0")
    parser.add_argument("--out", type=Path, help="the JSON file to write; what it holds of other extras stays")
    chosen = parser.parse_args(arguments)
    results: Found = {"machine": {}, "extras": {}}
    if chosen.out and chosen.out.exists():
        results = json.loads(chosen.out.read_text(encoding="utf-8"))
    results["machine"] = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "constraints": chosen.constraint,
    }
    for extra in chosen.only:
        found = results["extras"][extra] = measure(extra, chosen.constraint)
        print(f"{extra:<12} {found['bytes'] / 1e6:10,.1f} MB  {len(found['packages'])} packages", flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    main()

"""What the commands of this package have in common: options, the machine's description, the files they write."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse_measuring(parser: argparse.ArgumentParser, arguments: list[str] | None, *positive: str) -> argparse.Namespace:
    """Add the options of every measurement and parse; those named *positive* must be above 0, too."""
    parser.add_argument("--rounds", type=int, help="rounds of every peer (default: 5)")
    parser.add_argument("--seconds", type=float, help="length of a round (default: 0.6)")
    add_output(parser)
    options = parser.parse_args(arguments)
    for name in ("rounds", "seconds", *positive):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} must be above 0; got {value}")
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.02 if options.quick else 0.6)
    return options


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add what every command that writes results has."""
    parser.add_argument(
        "--quick", action="store_true", help="one very short round: shows that all runs, measures nothing"
    )
    parser.add_argument(
        "--out",
        type=Path,
        nargs="?",
        const=ROOT / "benchmarks" / "results",
        help="folder for the JSON file and the picture (without a value: benchmarks/results)",
    )


def machine(options: argparse.Namespace, packages: Iterable[str]) -> dict[str, Any]:
    """What the figures depend on, and how busy the machine was."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": datetime.date.today().isoformat(),
        "revision": revision(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "threads": getattr(options, "threads", None) or "default",
        "thread_variables": {k: v for k, v in os.environ.items() if k.endswith(("_NUM_THREADS", "THREAD_TIMEOUT"))},
        "load_before": os.getloadavg(),
        "rounds": options.rounds,
        "round_seconds": getattr(options, "seconds", None),
        "quick": options.quick,
    }


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def revision() -> str | None:
    """The commit that was measured, with a plus where files differ from it."""
    try:
        command = ["git", "describe", "--always", "--dirty=+"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def save(results: dict[str, Any], folder: Path, kind: str, picture: Callable[[dict[str, Any], Path], bool]) -> None:
    """Write results and their picture under the day's name, and say so."""
    path = write(results, folder, kind)
    print(f"wrote {path}")
    if picture(results, path.with_suffix(".png")):
        print(f"wrote {path.with_suffix('.png')}")
    else:
        print("no picture: matplotlib is not installed")


def write(results: dict[str, Any], folder: Path, kind: str) -> Path:
    """Write the results alone."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results['machine']['date']}-{kind}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path

"""The command line: ``python -m xpnet info``."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict

from xpnet.backend import BackendInfo, available_backends

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="xpnet", description="Neural networks written once, run on any array library."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser(
        "info",
        help="list the backends, their versions and devices, and why an absent one is absent",
        epilog="example: python -m xpnet info --json",
    )
    info.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    return _info(options.json)


def _info(as_json: bool) -> int:
    import xpnet

    backends = available_backends()
    if as_json:
        found = {name: asdict(info) for name, info in backends.items()}
        print(json.dumps({"xpnet": xpnet.__version__, "python": platform.python_version(), "backends": found}))
        return 0
    print(f"xpnet {xpnet.__version__}, Python {platform.python_version()}")
    for info in backends.values():
        print("\n".join(_lines(info)))
    return 0


def _lines(info: BackendInfo) -> list[str]:
    if not info.available:
        return [f"  {info.name:<17} not available: {info.problem}"]
    return [f"  {info.name:<17} {info.version}", *(f"  {'':<17} {device}" for device in info.devices)]

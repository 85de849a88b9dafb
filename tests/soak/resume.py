"""Kill a training run at random moments and resume it, again and again: ``python -m tests.soak.resume``.

Every run that has got to its end is compared with one that nobody killed: arrays, history, callbacks, files.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path

from tests.interrupted import finish, kill_at_random, start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--every", default="7 steps")
    parser.add_argument("--without", action="append", default=[], help="a module that is not to be found, as llvmlite")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    options = ["--backend", chosen.backend, "--every", chosen.every, *(f"--without={name}" for name in chosen.without)]
    chance, killed, runs, begun = random.Random(chosen.seed), 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        expected = finish(start(Path(place) / "whole", *options))
        seconds = 1.0
        while killed < chosen.kills:
            folder = Path(place) / "run"
            for _ in range(10):
                killed += kill_at_random(folder, seconds, chance, *options)
                if killed == chosen.kills:
                    break
            assert finish(start(folder, *options)) == expected, f"run {runs}, after {killed} kills"
            runs += 1
            seconds = 0.3 if seconds == 1.0 else 1.0
            shutil.rmtree(folder)
    print(
        f"{options}, seed {chosen.seed}: {killed} kills in {runs} runs, each run bit-equal to one that nobody killed;"
    )
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

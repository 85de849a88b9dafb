"""kill -9 at random moments of a loop of saves: the newest file or the one before it always loads.

    python -m tests.soak.kill --kills 10000 --folder /tmp

A process saves generation after generation of one network to one path and tells, after each save, which it has
finished. It is killed after a random time, which one time in four begins when it has finished a save, so that some are
finished on a slow machine, too. Then the file must load and hold the generation that was finished last or the one after
it, and the next save must leave no temporary file. Processes are forks of this one, so that a kill takes milliseconds.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import xpnet
from xpnet.atomic_write import PREFIX

PATIENCE = 60
"""Seconds that a first save is waited for."""

BACKEND = xpnet.open_backend("numpy")


def make() -> xpnet.Network:
    return xpnet.Network([xpnet.Dense(64), "relu", xpnet.Dense(3)], inputs=32, backend=BACKEND)


def save_for_ever(net: xpnet.Network, path: Path, first: int, told: int) -> None:
    """Save generations from *first* on, each with its number in every weight."""
    generation = first
    while True:
        net.epochs = generation
        net.set_weights({name: np.full_like(array, generation) for name, array in net.get_weights().items()})
        net.save(path)
        os.write(told, generation.to_bytes(8, "little"))
        generation += 1


def generation_of(path: Path) -> int:
    """Load the file; every part of it must be of one generation."""
    net = xpnet.load(path, backend=BACKEND)
    values = {float(value) for array in net.get_weights().values() for value in (array.min(), array.max())}
    if values != {float(net.epochs)}:
        raise SystemExit(f"a file of several generations: {net.epochs} and {values}")
    return net.epochs


def kill_once(net: xpnet.Network, path: Path, before: int, delay: float, patient: bool) -> tuple[int, int]:
    """Let a fork save, kill it after *delay* seconds; return the generations that it finished and that loads.

    The seconds begin with the fork, or, if *patient*, at the end of its first save.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        save_for_ever(net, path, before + 1, writer)
    os.close(writer)
    if patient:
        select.select([reader], [], [], PATIENCE)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    finished = int.from_bytes(told[-8:], "little") if told else before
    return finished, generation_of(path)


def run(kills: int, seed: int, folder: Path, longest: float = 0.008) -> Counter[str]:
    """Kill so often, at most *longest* seconds after a start; raise SystemExit at the first loss."""
    draw, net, path, found = random.Random(seed), make(), folder / "net", Counter[str]()
    net.set_weights({name: np.zeros_like(array) for name, array in net.get_weights().items()})
    net.save(path)
    generation = 0
    for kill in range(kills):
        finished, loaded = kill_once(net, path, generation, draw.uniform(0.0, longest), kill % 4 == 0)
        if loaded not in (finished, finished + 1):
            raise SystemExit(f"kill {kill}: generation {finished} was finished, and {loaded} is there")
        leftovers = [name for name in os.listdir(folder) if name.startswith(PREFIX)]
        if len(leftovers) > 1:
            raise SystemExit(f"kill {kill}: one save leaves one temporary file at most; got {leftovers}")
        found["killed with a temporary file"] += len(leftovers)
        found["killed between rename and the word of it"] += loaded > finished
        found["saves finished"] += finished - generation
        generation = loaded
    net.save(path)
    if os.listdir(folder) != [path.name]:
        raise SystemExit(f"the last save left {os.listdir(folder)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the files are written: on the file system that is to be tried")
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = run(options.kills, options.seed, Path(folder))
    for name, count in sorted(found.items()):
        print(f"{count:10,}  {name}")
    print(f"{options.kills:,} kills, 0 losses, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

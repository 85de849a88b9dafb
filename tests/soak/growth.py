"""Train in a loop and watch the process's memory: ``python -m tests.soak.growth --minutes 60``.

Fresh networks, continued ones, checkpoints, predictions and callbacks, over and over; memory is read once a round.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path

import numpy as np

import xpnet
from xpnet import Dense

WARM = 0.2
"""Share of the time that is left out: caches fill then."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--minutes", type=float, default=60)
    chosen = parser.parse_args()
    backend = xpnet.open_backend(chosen.backend)
    begun, seen = time.monotonic(), []
    with tempfile.TemporaryDirectory() as place:
        while (passed := time.monotonic() - begun) < 60 * chosen.minutes:
            one_round(backend, Path(place) / str(len(seen)))
            gc.collect()
            seen.append((passed, resident()))
    settled = [(when, size) for when, size in seen if when > WARM * 60 * chosen.minutes]
    slope = np.polyfit(*zip(*settled, strict=True), 1)[0] * 3600
    first, last = (np.median([size for _, size in part]) for part in (settled[:20], settled[-20:]))
    print(f"{chosen.backend}: {len(seen)} rounds, {passed / 60:.1f} minutes; resident MB {first:.2f} early, {last:.2f}")
    print(f"late, {max(size for _, size in seen):.2f} at most; growth by a straight line {slope:+.2f} MB an hour")


def one_round(backend: xpnet.Backend, folder: Path) -> None:
    x, y = xpnet.spiral(points=100, seed=0)
    net = xpnet.Network([Dense(32), xpnet.BatchNorm(), "relu", xpnet.Dropout(0.1), Dense(3)], backend=backend, seed=0)
    stopping = xpnet.EarlyStopping("val_loss", patience=50)
    net.fit(x, y, epochs=10, batch_size=10, validation_split=0.2, callbacks=[stopping], verbose=0)
    net.fit(x, y, epochs=10, batch_size=10, checkpoint=folder, every="20 steps", verbose=0)
    for _ in range(20):
        net.predict(x)
    net.copy().evaluate(x, y)


def resident() -> float:
    """Return the process's resident memory in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()

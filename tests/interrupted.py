"""A training run to be killed: a script for other processes, and what starts, kills and compares them.

    python tests/interrupted.py FOLDER [--backend NAME] [--every TEXT] [--without MODULE]

trains with checkpoints in FOLDER, goes on with what is there, and prints ``training`` when it starts and, at the end,
``digest`` and everything that the run has come to: hashes of arrays and files, history, what callbacks remember.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EPOCHS = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--every", default="7 steps")
    parser.add_argument("--without", action="append", default=[])
    chosen = parser.parse_args()
    for module in chosen.without:
        sys.modules[module] = None  # type: ignore[assignment]
    print("digest", json.dumps(train(chosen.folder, chosen.backend, chosen.every), sort_keys=True), flush=True)


def train(folder: Path, backend: str, every: str) -> dict[str, Any]:
    """Train as far as it goes and return the digest."""
    import numpy as np

    import xpnet
    from xpnet import Dense
    from xpnet.weights import read_arrays

    class Says(xpnet.Callback):
        """A callback of a user's own, with a state of its own."""

        losses: list[float]

        def on_train_begin(self, logs: Any) -> None:
            self.losses = []
            print("training", flush=True)

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.losses.append(logs["loss"])

        def state(self) -> dict[str, Any]:
            return {"losses": self.losses, "array": np.asarray(self.losses)}

        def restore(self, state: dict[str, Any]) -> None:
            assert state["array"].tolist() == state["losses"]
            self.losses = state["losses"]

    stream = np.random.default_rng(0)
    x = stream.normal(size=(640, 5))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)
    net = xpnet.Network(
        [Dense(70), xpnet.BatchNorm(), "relu", xpnet.Dropout(0.2), Dense(70), "tanh", Dense(3)],
        optimizer=xpnet.chain(xpnet.ClipByNorm(1.0), xpnet.Adam(xpnet.CosineDecay(0.01, 1500, warmup=20))),
        backend=backend,
        seed=3,
    )
    folder.mkdir(parents=True, exist_ok=True)
    says = Says()
    stopping = xpnet.EarlyStopping("val_loss", patience=3)
    best, log = folder / "best.safetensors", folder / "log.csv"
    callbacks = [
        says,
        stopping,
        xpnet.ReduceLROnPlateau("val_loss", factor=0.5, patience=1),
        xpnet.ModelCheckpoint(best, save_best_only=True),
        xpnet.CSVLogger(log),
    ]
    history = net.fit(
        x,
        y,
        epochs=EPOCHS,
        batch_size=5,
        validation_split=0.2,
        callbacks=callbacks,
        verbose=0,
        checkpoint=folder / "run",
        resume=True,
        every=every,
    )
    return {
        "arrays": {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in read_arrays(net).items()},
        "history": [dict(history), dict(net.history)],
        "counts": [net.steps, net.epochs, net.scale],
        "callbacks": [says.losses, stopping.best_epoch, stopping.stopped_epoch],
        "files": [hashlib.sha256(best.read_bytes()).hexdigest(), log.read_text()],
    }


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start this script in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, str(folder), *options], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the digest of a run that nobody kills."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    digest: dict[str, Any] = json.loads(output.partition("digest ")[2])
    return digest


def kill_at_random(folder: Path, seconds: float, chance: random.Random, *options: str) -> bool:
    """Start or resume the run and kill it within *seconds* of training; return whether it was still running."""
    process = start(folder, *options)
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    time.sleep(chance.uniform(0, seconds))
    running = process.poll() is None
    process.kill()
    process.stdout.close()
    process.wait()
    return running and process.returncode != 0


if __name__ == "__main__":
    main()

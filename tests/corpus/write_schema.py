"""Write the files that every later version must go on loading, once for each schema.

    python -m tests.corpus.write_schema tests/corpus/schema-1

``tests/test_corpus.py`` loads them; what a network answers is kept beside it, in the file's notes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import xpnet
from xpnet.checkpoint import save

X = np.linspace(-1, 1, 20).reshape(5, 4)
Y = np.arange(5) % 3


def networks() -> dict[str, xpnet.Network]:
    """Return one network for each kind of content."""
    deep = xpnet.Network(
        [
            xpnet.Dense(5),
            xpnet.BatchNorm(),
            "relu",
            xpnet.Dropout(0.25),
            xpnet.Residual([xpnet.Dense(5), xpnet.LayerNorm()], xpnet.Dense(5, bias=False)),
            xpnet.Dense(3, weight_initializer=xpnet.Orthogonal(0.5)),
        ],
        optimizer=xpnet.chain(
            xpnet.L2(1e-4), xpnet.ClipByNorm(1.0), xpnet.Adam(xpnet.CosineDecay(0.02, 40, warmup=3)),
            xpnet.ExponentialMovingAverage(0.9),
        ),
        metrics=["accuracy", xpnet.TopKAccuracy(2)],
        seed=2**70,
    )  # fmt: skip
    deep.fit(X, Y, epochs=3, batch_size=2, verbose=0)
    deep.learning_rate = deep.learning_rate / 3
    values = xpnet.Network([xpnet.Dense(2)], loss=xpnet.Huber(0.5), optimizer="nadam", dtype="float64", inputs=4)
    return {"deep": deep, "values": values, "unbuilt": xpnet.Network([xpnet.Dense(3)])}


def main(folder: Path) -> None:
    for name, net in networks().items():
        answer = net.predict(X).tolist() if net.built else None
        notes = {"answer": json.dumps(answer), "epochs": str(net.epochs), "steps": str(net.steps)}
        save(net, folder / f"{name}.safetensors", notes=notes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

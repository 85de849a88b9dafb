"""A work as an xpnet network, from given weights."""

from __future__ import annotations

from typing import Any

import numpy as np

import xpnet
from benchmarks.work import BATCH_NORM_EPSILON, BATCH_NORM_KEEP, Weights, Work


class Model:
    """Builds the network, and names its weights as the work does."""

    def __init__(
        self, work: Work, weights: Weights, backend: str | xpnet.Backend = "numpy", **arguments: object
    ) -> None:
        layers: list[object] = []
        self.names: list[dict[str, str]] = []
        for layer in weights:
            dense = len(layers)
            names = {"weight": f"{dense}.weight", "bias": f"{dense}.bias"}
            layers.append(xpnet.Dense(layer["bias"].size))
            if "gamma" in layer:
                names |= {name: f"{len(layers)}.{name}" for name in ("gamma", "beta")}
                layers.append(xpnet.BatchNorm(momentum=BATCH_NORM_KEEP, epsilon=BATCH_NORM_EPSILON))
            if layer is not weights[-1]:
                layers.append(work.activation)
                if work.dropout:
                    layers.append(xpnet.Dropout(work.dropout))
            self.names.append(names)
        optimizer = {"sgd": xpnet.SGD, "adam": xpnet.Adam}[work.optimizer](work.rate)
        self.network = xpnet.Network(
            layers, optimizer=optimizer, backend=backend, inputs=work.sizes[0], dtype="float32", **arguments
        )
        self.network.set_weights(
            {
                names[key]: value
                for names, layer in zip(self.names, weights, strict=True)
                for key, value in layer.items()
            }
        )

    def weights(self) -> Weights:
        found = self.network.get_weights()
        return [{key: found[name] for key, name in names.items()} for names in self.names]

    def place(self, x: np.ndarray) -> Any:
        return self.network.backend.asarray(x)

    def predict(self, x: Any) -> np.ndarray:
        return self.network.backend.to_numpy(self.network.predict(x))

"""Keras on JAX through ``fit``, without metrics beside the loss."""

from __future__ import annotations

from time import perf_counter

import keras
import numpy as np

from benchmarks.work import BATCH_NORM_EPSILON, BATCH_NORM_KEEP, Pool, Weights, Work


class Trainer:
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        self.pool = pool
        self.layers: list[dict[str, keras.Layer]] = []
        stack: list[keras.Layer] = [keras.Input((work.sizes[0],))]
        for layer in weights:
            own = {"dense": keras.layers.Dense(layer["bias"].size)}
            stack.append(own["dense"])
            if "gamma" in layer:
                own["norm"] = keras.layers.BatchNormalization(momentum=BATCH_NORM_KEEP, epsilon=BATCH_NORM_EPSILON)
                stack.append(own["norm"])
            if layer is not weights[-1]:
                stack.append(keras.layers.Activation(work.activation))
                if work.dropout:
                    stack.append(keras.layers.Dropout(work.dropout))
            self.layers.append(own)
        self.model = keras.Sequential(stack)
        for own, layer in zip(self.layers, weights, strict=True):
            own["dense"].set_weights([layer["weight"], layer["bias"]])
        optimizer = (
            keras.optimizers.SGD(work.rate)
            if work.optimizer == "sgd"
            else keras.optimizers.Adam(work.rate, epsilon=1e-8)
        )
        self.model.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        self.probabilities = keras.Sequential([self.model, keras.layers.Softmax()])

    def train(self, passes: int, shuffle: bool) -> float:
        pool, clock = self.pool, Clock()
        self.model.fit(
            pool.x,
            pool.y,
            epochs=passes,
            batch_size=pool.batch,
            shuffle=shuffle and len(pool) > 1,
            callbacks=[clock],
            verbose=0,
        )
        return perf_counter() - clock.start

    def weights(self) -> Weights:
        found: Weights = []
        for own in self.layers:
            names = zip(("weight", "bias"), own["dense"].get_weights(), strict=True)
            found.append({name: np.array(value) for name, value in names})
            if "norm" in own:
                gamma, beta = own["norm"].get_weights()[:2]
                found[-1] |= {"gamma": np.array(gamma), "beta": np.array(beta)}
        return found

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.probabilities.predict(x, batch_size=4096, verbose=0)


class Clock(keras.callbacks.Callback):
    """Starts with the first epoch, as for xpnet."""

    def on_train_begin(self, logs: object = None) -> None:
        self.start = perf_counter()

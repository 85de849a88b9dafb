"""Plain NumPy in float64, as the from-scratch networks that xpnet descends from are written."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from benchmarks.work import BATCH_NORM_EPSILON, BATCH_NORM_KEEP, Pool, Weights, Work


class Trainer:
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        self.work = work
        self.layers = [{name: value.astype(np.float64) for name, value in layer.items()} for layer in weights]
        one_hot = np.eye(work.sizes[-1])
        self.batches = [(x.astype(np.float64), one_hot[y]) for x, y in pool.batches()]
        self.m = [{name: np.zeros_like(value) for name, value in layer.items()} for layer in self.layers]
        self.v = [{name: np.zeros_like(value) for name, value in layer.items()} for layer in self.layers]
        self.running = [(0.0, 1.0) for _ in self.layers]
        self.random = np.random.default_rng(0)
        self.steps = 0

    def train(self, passes: int, shuffle: bool) -> float:
        start = perf_counter()
        for _ in range(passes):
            for x, t in self.batches:
                loss = self.step(x, t)
        float(loss)
        return perf_counter() - start

    def step(self, x: np.ndarray, t: np.ndarray) -> np.floating:
        inputs, kept, a = [], [], x
        for number, layer in enumerate(self.layers):
            inputs.append(a)
            z = np.dot(a, layer["weight"]) + layer["bias"]
            if number == len(self.layers) - 1:
                break
            a, notes = self.hidden(number, layer, z)
            kept.append(notes)
        e = np.exp(z - np.max(z, axis=1, keepdims=True))
        p = e / np.sum(e, axis=1, keepdims=True)
        loss = -np.mean(np.sum(t * np.log(p), axis=1))
        dz = (p - t) / len(x)
        gradients = [{} for _ in self.layers]
        for number in range(len(self.layers) - 1, -1, -1):
            gradients[number] |= {"weight": np.dot(inputs[number].T, dz), "bias": np.sum(dz, axis=0)}
            if number:
                da = np.dot(dz, self.layers[number]["weight"].T)
                dz = self.hidden_backward(self.layers[number - 1], gradients[number - 1], kept[number - 1], da)
        self.update(gradients)
        return loss

    def hidden(self, number: int, layer: dict, z: np.ndarray) -> tuple[np.ndarray, dict]:
        notes = {}
        if "gamma" in layer:
            mean, variance = np.mean(z, axis=0), np.var(z, axis=0)
            notes["inverse"] = 1 / np.sqrt(variance + BATCH_NORM_EPSILON)
            notes["normal"] = (z - mean) * notes["inverse"]
            z = notes["normal"] * layer["gamma"] + layer["beta"]
            old_mean, old_variance = self.running[number]
            self.running[number] = (
                BATCH_NORM_KEEP * old_mean + (1 - BATCH_NORM_KEEP) * mean,
                BATCH_NORM_KEEP * old_variance + (1 - BATCH_NORM_KEEP) * variance * len(z) / (len(z) - 1),
            )
        a = np.maximum(0, z) if self.work.activation == "relu" else 1 / (1 + np.exp(-z))
        notes["output"] = a
        if self.work.dropout:
            kept = 1 - self.work.dropout
            notes["mask"] = self.random.binomial(1, kept, size=a.shape) / kept
            a = a * notes["mask"]
        return a, notes

    def hidden_backward(self, layer: dict, gradients: dict, notes: dict, da: np.ndarray) -> np.ndarray:
        if "mask" in notes:
            da = da * notes["mask"]
        a = notes["output"]
        dz = da * (a > 0) if self.work.activation == "relu" else da * a * (1 - a)
        if "gamma" in layer:
            normal = notes["normal"]
            gradients |= {"gamma": np.sum(dz * normal, axis=0), "beta": np.sum(dz, axis=0)}
            dn = dz * layer["gamma"]
            dz = notes["inverse"] * (dn - np.mean(dn, axis=0) - normal * np.mean(dn * normal, axis=0))
        return dz

    def update(self, gradients: list[dict]) -> None:
        self.steps += 1
        rate = self.work.rate
        for layer, gradient, m, v in zip(self.layers, gradients, self.m, self.v, strict=True):
            for name, g in gradient.items():
                if self.work.optimizer == "sgd":
                    layer[name] = layer[name] - rate * g
                    continue
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g**2
                corrected = m[name] / (1 - 0.9**self.steps)
                layer[name] = layer[name] - rate * corrected / (np.sqrt(v[name] / (1 - 0.999**self.steps)) + 1e-8)

    def weights(self) -> Weights:
        return [dict(layer) for layer in self.layers]

    def predict(self, x: np.ndarray) -> np.ndarray:
        a = x.astype(np.float64)
        for layer in self.layers[:-1]:
            a = np.maximum(0, np.dot(a, layer["weight"]) + layer["bias"])
        z = np.dot(a, self.layers[-1]["weight"]) + self.layers[-1]["bias"]
        e = np.exp(z - np.max(z, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

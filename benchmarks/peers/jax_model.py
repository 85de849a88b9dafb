"""A work in JAX, written by hand: one pure training step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.work import BATCH_NORM_EPSILON, BATCH_NORM_KEEP, Weights, Work


class State(NamedTuple):
    params: Any
    moments: Any  # Adam's m and v, else None
    running: Any  # mean and variance of each normalized layer
    key: Any
    step: Any


class Model:
    def __init__(self, work: Work, weights: Weights) -> None:
        self.work = work
        params = [{name: jnp.asarray(value) for name, value in layer.items()} for layer in weights]
        zeros = jax.tree.map(jnp.zeros_like, params)
        moments = (zeros, jax.tree.map(jnp.zeros_like, params)) if work.optimizer == "adam" else None
        running = [(jnp.zeros_like(p["beta"]), jnp.ones_like(p["beta"])) if "beta" in p else None for p in params]
        self.state = State(params, moments, running, jax.random.key(0), jnp.zeros((), jnp.int32))
        self._predict = jax.jit(lambda params, x: jax.nn.softmax(self.scores(params, x)))

    def scores(self, params: Any, x: Any) -> Any:
        """Logits outside training; only works without normalization are measured at inference."""
        for layer in params[:-1]:
            x = self.activation(x @ layer["weight"] + layer["bias"])
        return x @ params[-1]["weight"] + params[-1]["bias"]

    def activation(self, x: Any) -> Any:
        return jnp.maximum(x, 0) if self.work.activation == "relu" else jax.nn.sigmoid(x)

    def loss(self, params: Any, running: Any, key: Any, x: Any, y: Any) -> Any:
        new_running = []
        for number, layer in enumerate(params):
            x = x @ layer["weight"] + layer["bias"]
            new_running.append(running[number])
            if "gamma" in layer:
                mean, variance = x.mean(axis=0), x.var(axis=0)
                old_mean, old_variance = running[number]
                correction = x.shape[0] / (x.shape[0] - 1)
                new_running[-1] = (
                    BATCH_NORM_KEEP * old_mean + (1 - BATCH_NORM_KEEP) * mean,
                    BATCH_NORM_KEEP * old_variance + (1 - BATCH_NORM_KEEP) * correction * variance,
                )
                x = (x - mean) * jax.lax.rsqrt(variance + BATCH_NORM_EPSILON) * layer["gamma"] + layer["beta"]
            if number < len(params) - 1:
                x = self.activation(x)
                if self.work.dropout:
                    kept = 1 - self.work.dropout
                    x = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, number), kept, x.shape), x / kept, 0)
        x = x.astype(jnp.float32)  # from what a peer has multiplied in
        losses = jax.nn.logsumexp(x, axis=1) - jnp.take_along_axis(x, y[:, None], axis=1)[:, 0]
        return losses.mean(), (new_running, x)

    def step(self, state: State, x: Any, y: Any) -> tuple[State, Any]:
        return self.measured_step(state, x, y)[:2]

    def measured_step(self, state: State, x: Any, y: Any) -> tuple[State, Any, Any]:
        """Also give the share of right answers; what a caller leaves unused, XLA does not compute."""
        key = jax.random.fold_in(state.key, state.step) if self.work.dropout else state.key
        (loss, (running, scores)), slopes = jax.value_and_grad(self.loss, has_aux=True)(
            state.params, state.running, key, x, y
        )
        step, rate = state.step + 1, self.work.rate
        moments = state.moments
        if moments is None:
            params = jax.tree.map(lambda p, g: p - rate * g, state.params, slopes)
        else:
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], slopes)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], slopes)
            done = step.astype(jnp.float32)
            first, second = 1 - 0.9**done, 1 - 0.999**done
            params = jax.tree.map(
                lambda p, m, v: p - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8), state.params, m, v
            )
            moments = (m, v)
        right = (scores.argmax(axis=1) == y).mean()
        return State(params, moments, running, state.key, step), loss, right

    def weights(self) -> Weights:
        return [{name: np.array(value) for name, value in layer.items()} for layer in self.state.params]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._predict(self.state.params, x))

"""The array libraries that data may come in, for the tests of what takes any of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnet.arrays import to_host

NAMES = ["numpy", "strict", "torch", "jax"]


class Library:
    """One array library as the tests need it: a way in, and a check that a result stayed there."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name == "strict":
            self.xp = pytest.importorskip("array_api_strict")
            self.device: Any = self.xp.Device("device1")
        else:
            module = {"numpy": "numpy", "torch": "torch", "jax": "jax.numpy"}[name]
            self.xp = pytest.importorskip(module)
            self.device = None

    def array(self, values: Any, dtype: str | None = None) -> Any:
        options = {} if self.device is None else {"device": self.device}
        host = np.asarray(values, dtype=dtype)
        if self.name == "torch":
            return self.xp.asarray(host.copy())
        return self.xp.asarray(host, **options)

    def check(self, result: Any) -> np.ndarray:
        assert isinstance(result, type(self.array([0.0])))
        if self.device is not None:
            assert result.device == self.device
        return to_host(result)

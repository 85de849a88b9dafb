"""xpnet on CuPy, or on NumPy where the device is the processor: by ``train_step``, by ``fit``, or its step alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xpnet
from benchmarks.peers import xpnet_bare, xpnet_fit, xpnet_step
from benchmarks.work import Pool, Weights, Work
from xpnet.backend import bind

KINDS = {"step": xpnet_step.Trainer, "fit": xpnet_fit.Trainer, "bare": xpnet_bare.Trainer}


def Trainer(
    work: Work, weights: Weights, pool: Pool, device: str, precision: str, kind: str, kernels: bool = False
) -> Any:
    """Precision is for the environment to say, before CuPy is imported."""
    return KINDS[kind](work, weights, pool, open_backend(device, kernels))


def open_backend(device: str, kernels: bool) -> xpnet.Backend:
    """Open the device's backend, plain or with the kernels that nothing switches on yet."""
    if device == "cpu":
        return xpnet.open_backend("numpy")
    if not kernels:
        return xpnet.open_backend("cupy")
    from xpnet_backends import on_cupy
    from xpnet_backends.on_cupy import fused

    return bind(replace(on_cupy.open(None, "float32"), nn=fused.NN))

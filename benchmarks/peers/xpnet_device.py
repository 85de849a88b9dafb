"""xpnet on a device: by ``train_step``, by ``fit``, or its step alone; on NumPy for CuPy where it is the processor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xpnet
from benchmarks.peers import xpnet_bare, xpnet_fit, xpnet_step
from benchmarks.work import Pool, Weights, Work
from xpnet.backend import bind

KINDS = {"step": xpnet_step.Trainer, "fit": xpnet_fit.Trainer, "bare": xpnet_bare.Trainer}


def Trainer(
    work: Work,
    weights: Weights,
    pool: Pool,
    device: str,
    precision: str,
    kind: str,
    library: str = "cupy",
    kernels: bool = False,
) -> Any:
    """TF32 is for the environment to say on CuPy and JAX, before they are imported."""
    backend = open_cupy(device, kernels) if library == "cupy" else open_other(library, device, precision)
    return KINDS[kind](work, weights, pool, backend)


def open_other(library: str, device: str, precision: str) -> xpnet.Backend:
    """Open JAX, PyTorch, or NumPy, which is on the processor in any case."""
    if library == "torch":
        import torch

        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    place = {"numpy": None, "jax": "gpu" if device == "cuda" else device}.get(library, device)
    return xpnet.open_backend(library, device=place, precision="bfloat16" if precision == "bf16" else None)


def open_cupy(device: str, kernels: bool) -> xpnet.Backend:
    """Open CuPy, plain or with the kernels that nothing switches on yet."""
    if device == "cpu":
        return xpnet.open_backend("numpy")
    if not kernels:
        return xpnet.open_backend("cupy")
    from xpnet_backends import on_cupy
    from xpnet_backends.on_cupy import fused

    return bind(replace(on_cupy.open(None, "float32"), nn=fused.NN))

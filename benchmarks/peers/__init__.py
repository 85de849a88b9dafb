"""The peers. Each module has a class ``Trainer`` that holds one library to one work:

    Trainer(work, weights, pool, **options)    # may be slow: places data, builds, compiles
    train(passes, shuffle) -> seconds          # so many times through the pool; waits until it is done and read
    weights() -> Weights                       # what was learned, on the host; None where nothing is
    predict(x) -> probabilities                # host to host; only where the peer is measured at inference
    place(x)                                   # those for GPUs: puts x where predict() finds it without a copy

``shuffle`` concerns those that draw batches themselves (the ``fit`` kind); the others take the pool in its order. Peers
for GPUs take the options ``device`` ("cuda" or "cpu") and ``precision`` besides.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from benchmarks.work import INFERENCE, TRAINING


@dataclass(frozen=True)
class Peer:
    """Which module, with which options, and what it needs and is measured at."""

    title: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    works: tuple[str, ...] = tuple(TRAINING)
    predicts: bool = False
    placed: bool = False
    """Whether it is told a device and a precision."""
    precisions: Mapping[str, dict[str, str]] = field(default_factory=lambda: {"fp32": {}})
    """Those that it can compute in, each with what has to be in the environment for it."""

    def absence(self) -> str:
        """Why it cannot be measured here; empty where it can."""
        missing = [module for module in self.needs if find_spec(module) is None]
        return f"not installed: {', '.join(missing)}" if missing else ""

    def does(self, work: str) -> bool:
        return self.predicts if work in INFERENCE else work in self.works


NO_EXTRAS = tuple(name for name, work in TRAINING.items() if not (work.dropout or work.batch_norm))

PEERS = {
    "xpnet": Peer("xpnet, train_step", "xpnet_step", predicts=True),
    "xpnet-fit": Peer("xpnet, fit", "xpnet_fit", {"backend": "numpy"}),
    "xpnet-core": Peer("xpnet without extras, fit", "xpnet_fit", {"backend": "numpy", "extras": False}),
    "xpnet-bare": Peer("xpnet, the compiled step alone", "xpnet_bare", works=("moons", "mlp")),
    "xpnet-jax": Peer("xpnet on JAX, fit", "xpnet_fit", {"backend": "jax"}, needs=("jax",), predicts=True),
    "torch": Peer("torch eager", "torch_loop", needs=("torch",), predicts=True),
    "torch-fused": Peer("torch, fused optimizer", "torch_loop", {"fused": True}, needs=("torch",)),
    "torch-compile": Peer(
        "torch.compile, fused optimizer", "torch_loop", {"fused": True, "compiled": True}, needs=("torch",)
    ),
    "jax-step": Peer("JAX, jitted step", "jax_step", needs=("jax",), predicts=True),
    "jax-loop": Peer("JAX, loop inside jit", "jax_loop", needs=("jax",)),
    "jax-epoch": Peer("JAX, shuffled epochs with accuracy inside jit", "jax_epoch", needs=("jax",)),
    "keras": Peer(
        "Keras on JAX, fit", "keras_fit", needs=("keras", "jax"), environment={"KERAS_BACKEND": "jax"}, predicts=True
    ),
    "sklearn": Peer("scikit-learn, fit", "sklearn_fit", needs=("sklearn",), works=NO_EXTRAS, predicts=True),
    "source": Peer("plain NumPy, float64", "numpy_source", predicts=True),
    "limit": Peer("matrix products alone", "matmul_limit", needs=("llvmlite",), works=("mlp", "wide")),
}

# NVIDIA's libraries obey this one whatever a peer has asked for.
NO_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
CUPY = {"fp32": {"CUPY_TF32": "0", **NO_TF32}, "tf32": {"CUPY_TF32": "1"}}
EACH = {"fp32": NO_TF32, "tf32": {}, "bf16": {}}
BY_JAX = {**EACH, "tf32": {"JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32"}}
# All peers of a work are on the GPU at a time; JAX would take most of its memory for itself.
SHARING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def _cupy(title: str, kind: str, **more: Any) -> Peer:
    options = {"kind": kind, **more.pop("options", {})}
    fixed = {"works": NO_EXTRAS, "placed": True, "precisions": CUPY}
    return Peer(f"xpnet on CuPy, {title}", "xpnet_device", options, **fixed, **more)


def _xpnet(title: str, library: str, kind: str, precisions: Mapping[str, dict[str, str]]) -> Peer:
    options = {"kind": kind, "library": library}
    fixed = {"environment": SHARING, "works": NO_EXTRAS, "placed": True}
    return Peer(title, "xpnet_device", options, needs=(library,), predicts=True, precisions=precisions, **fixed)


def _torch(title: str, predicts: bool = False, **options: Any) -> Peer:
    fixed = {"needs": ("torch",), "works": NO_EXTRAS, "placed": True, "precisions": EACH}
    return Peer(title, "torch_device", options, predicts=predicts, **fixed)


def _jax(title: str, predicts: bool = False, **options: Any) -> Peer:
    fixed = {"needs": ("jax",), "environment": SHARING, "works": NO_EXTRAS, "placed": True, "precisions": EACH}
    return Peer(title, "jax_device", options, predicts=predicts, **fixed)


GPU_PEERS = {
    "cupy-step": _cupy("train_step", "step", predicts=True),
    "cupy-bare": _cupy("the step alone", "bare"),
    "cupy-fit": _cupy("fit, shuffled", "fit"),
    "cupy-kernels": _cupy("the step alone, own kernels", "bare", options={"kernels": True}),
    "host-fit": _xpnet("xpnet on NumPy, fit, shuffled", "numpy", "fit", {"fp32": {}, "bf16": {}}),
    "xpnet-on-jax": _xpnet("xpnet on JAX, fit, shuffled", "jax", "fit", BY_JAX),
    "xpnet-on-torch": _xpnet("xpnet on PyTorch, train_step", "torch", "step", EACH),
    "cuda-eager": _torch("torch eager", predicts=True),
    "cuda-fused": _torch("torch, fused Adam", fused=True),
    "cuda-epoch": _torch("torch, fused Adam, shuffled", fused=True, shuffled=True),
    "cuda-compile": _torch("torch.compile", predicts=True, fused=True, mode="default"),
    "cuda-reduce-overhead": _torch(
        "torch.compile (reduce-overhead)", predicts=True, fused=True, mode="reduce-overhead"
    ),
    "cuda-max-autotune": _torch("torch.compile (max-autotune)", predicts=True, fused=True, mode="max-autotune"),
    "cuda-graph": _torch("torch, captured by hand", fused=True, mode="graph"),
    "cuda-graph-epoch": _torch("torch, captured by hand, shuffled", fused=True, mode="graph", shuffled=True),
    "gpu-jax-step": _jax("JAX, jitted step", predicts=True),
    "gpu-jax-scan": _jax("JAX, scanned epoch, shuffled", scanned=True),
}

ALL_PEERS = ChainMap(PEERS, GPU_PEERS)

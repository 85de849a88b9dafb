"""The peers. Each module has a class ``Trainer`` that holds one library to one work:

    Trainer(work, weights, pool, **options)    # may be slow: places data, builds, compiles
    train(passes, shuffle) -> seconds          # so many times through the pool; waits until it is done and read
    weights() -> Weights                       # what was learned, on the host; None where nothing is
    predict(x) -> probabilities                # host to host; only where the peer is measured at inference

``shuffle`` concerns those that draw batches themselves (the ``fit`` kind); the others take the pool in its order.
"""

from __future__ import annotations

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

    def missing(self) -> list[str]:
        return [module for module in self.needs if find_spec(module) is None]

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
    "limit": Peer("matrix products alone", "matmul_limit", works=("mlp", "wide")),
}

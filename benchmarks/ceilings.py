"""What a device can do at most: matrix products in each precision, a copy, and the floors of networks that follow.

    python -m benchmarks.ceilings '{"device": "cuda", "quick": false}'

Measured through torch, which has all three precisions.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import Any

from benchmarks.timing import SECONDS, time_of
from benchmarks.work import Work

SIZE = 8192
"""Rows and columns of the products."""

COPIED = 2**31
"""Bytes of the copy: many times any cache."""

CACHED = 10**8
"""Bytes that no GPU's second cache holds (an H200's has 60 MB)."""


def measure(device: str, quick: bool) -> dict[str, Any]:
    """Return operations a second by precision, and bytes a second, read and written ones both counted."""
    import torch

    size, copied = (256, 2**20) if quick else (SIZE, COPIED)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    found: dict[str, Any] = {"products": {}, "size": size}
    for precision, (allowed, dtype) in {
        "fp32": ("highest", torch.float32),
        "tf32": ("high", torch.float32),
        "bf16": ("highest", torch.bfloat16),
    }.items():
        torch.set_float32_matmul_precision(allowed)
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        taken = time_of(lambda: torch.matmul(a, b, out=out), wait, SECONDS)  # noqa: B023
        exact = a[:8].double() @ b.double()
        error = torch.linalg.norm(out[:8].double() - exact) / torch.linalg.norm(exact)
        found["products"][precision] = {"operations_a_second": 2 * size**3 / taken, "relative_error": float(error)}
    source = torch.randn(copied // 4, device=device)
    target = torch.empty_like(source)
    found["copy_bytes_a_second"] = 2 * copied / time_of(lambda: target.copy_(source), wait, SECONDS)
    return found


def operations(work: Work) -> int:
    """Return the floating-point operations of a step's products: forward, and two ways back but for the first layer's.

    >>> from benchmarks.work import TRAINING
    >>> operations(TRAINING["mlp"])
    410779648
    """
    pairs = [inputs * units for inputs, units in pairwise(work.sizes)]
    return 2 * work.batch * (3 * sum(pairs) - pairs[0])


def bytes_of_update(work: Work) -> int:
    """Return the bytes that the optimizer's update of every float32 parameter reads and writes.

    Adam reads gradient, parameter and two moments and writes three of them; SGD reads two and writes one.
    """
    parameters = sum((inputs + 1) * units for inputs, units in pairwise(work.sizes))
    return 4 * parameters * {"adam": 7, "sgd": 3}[work.optimizer]


def has_floor(work: Work) -> bool:
    """Say whether the update goes through memory: a GPU's second cache holds what smaller networks update."""
    return bytes_of_update(work) > CACHED


def floor(work: Work, ceilings: dict[str, Any], precision: str) -> float:
    """Return microseconds below which no step can be that multiplies first and updates after: products, then update."""
    products = operations(work) / ceilings["products"][precision]["operations_a_second"]
    return 1e6 * (products + bytes_of_update(work) / ceilings["copy_bytes_a_second"])


def main() -> None:
    config = json.loads(sys.argv[1])
    print(json.dumps(measure(config["device"], config["quick"])), flush=True)


if __name__ == "__main__":
    main()

"""What CuPy and CUDA's libraries can do inside a captured graph: each answer, or the error in its place.

python -m benchmarks.questions '{"device": "cuda", "quick": false}'

What decides how a whole training step can become one graph is asked here, each question in a process of its own, as an
error can leave a context that is of no use any more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.cublaslt import BINDINGS, COMPUTE_32F, COMPUTE_32F_FAST_TF32, EPILOGUES, REAL_16BF, REAL_32F, Product
from benchmarks.processes import WorkerFailed, ask
from benchmarks.timing import SECONDS, time_of

SIDE = 512
"""Rows and columns of the products."""

NODES = (50, 550)


def captured(function: Callable[[Any], object]) -> tuple[Any, Any]:
    """Capture what a function launches on a stream that it is given; return graph and stream."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        stream.begin_capture()
        function(stream)
        graph = stream.end_capture()
    return graph, stream


def product(library: str) -> dict[str, Any]:
    """Capture and replay a product on fresh numbers."""
    import cupy
    import numpy as np

    draw = np.random.default_rng().standard_normal
    a, b = (cupy.asarray(draw((SIDE, SIDE), dtype=np.float32)) for _ in range(2))
    out = cupy.empty((SIDE, SIDE), dtype=np.float32)
    planned = Product(BINDINGS[library](), a, b, out, REAL_32F, COMPUTE_32F)
    planned.launch(cupy.cuda.get_current_stream().ptr)
    eager = error(out, a, b)
    graph, stream = captured(lambda stream: planned.launch(stream.ptr))
    a[...], out[...] = cupy.asarray(draw((SIDE, SIDE), dtype=np.float32)), np.nan
    cupy.cuda.Device().synchronize()
    graph.launch(stream)
    stream.synchronize()
    return {"eager_error": eager, "replayed_error": error(out, a, b)}


def error(out: Any, a: Any, b: Any) -> float:
    """Return ||out - ab|| / ||ab||, with ab in float64 on the host."""
    import cupy
    import numpy as np

    exact = cupy.asnumpy(a).astype(np.float64) @ cupy.asnumpy(b).astype(np.float64)
    return float(np.linalg.norm(cupy.asnumpy(out) - exact) / np.linalg.norm(exact))


def cupy_product() -> dict[str, Any]:
    """Capture CuPy's own product, which it refused in the releases that were looked at."""
    import cupy

    a = cupy.ones((SIDE, SIDE), dtype=cupy.float32)
    out = a @ a
    captured(lambda stream: cupy.matmul(a, a, out=out))
    return {"captured": True}


def node() -> dict[str, Any]:
    """Time graphs of small kernels, each of which waits for the one before."""
    import cupy

    x = cupy.zeros(128, dtype=cupy.float32)
    add = cupy.ElementwiseKernel("float32 y", "float32 x", "x = y + 1", "add_one")
    add(x, x)
    medians = []
    for nodes in NODES:
        graph, stream = captured(lambda stream: [add(x, x) for _ in range(nodes)])  # noqa: B023
        medians.append(time_of(partial(graph.launch, stream), stream.synchronize, SECONDS))
    few, many = medians
    return {
        "microseconds_a_node": 1e6 * (many - few) / (NODES[1] - NODES[0]),
        f"microseconds_a_replay_of_{NODES[0]}": 1e6 * few,
    }


def generator() -> dict[str, Any]:
    """Capture cupy.random.Generator, and see whether two replays differ."""
    import cupy

    source = cupy.random.Generator(cupy.random.XORWOW(0))
    out = cupy.empty(1000, dtype=cupy.float32)
    source.random(out=out, dtype=cupy.float32)
    graph, stream = captured(lambda stream: source.random(out=out, dtype=cupy.float32))
    found = []
    for _ in range(2):
        graph.launch(stream)
        stream.synchronize()
        found.append(cupy.asnumpy(out))
    return {"replays_differ": bool((found[0] != found[1]).any()), "mean": float(found[1].mean())}


def epilogues() -> dict[str, Any]:
    """Plan and launch a product with each epilogue, in each precision."""
    import cupy

    found: dict[str, Any] = {}
    kinds = {
        "fp32": (REAL_32F, COMPUTE_32F, cupy.float32),
        "tf32": (REAL_32F, COMPUTE_32F_FAST_TF32, cupy.float32),
        "bf16": (REAL_16BF, COMPUTE_32F, cupy.uint16),  # CuPy has no bfloat16; the zeros are the same
    }
    bias, aux = cupy.zeros(SIDE, dtype=cupy.float32), cupy.zeros((SIDE, SIDE), dtype=cupy.float32)
    for precision, (kind, compute, dtype) in kinds.items():
        a, b, out = (cupy.zeros((SIDE, SIDE), dtype=dtype) for _ in range(3))
        found[precision] = {}
        for name in EPILOGUES:
            more = {"bias": bias.data.ptr} if "BIAS" in name or "BGRAD" in name else {}
            more |= {"aux": aux.data.ptr} if "AUX" in name or name.startswith(("DRELU", "DGELU")) else {}
            try:
                stream = cupy.cuda.get_current_stream()
                Product(BINDINGS["ctypes"](), a, b, out, kind, compute, name, **more).launch(stream.ptr)
                stream.synchronize()
                found[precision][name] = "runs"
            except RuntimeError as refusal:
                found[precision][name] = str(refusal)
    return found


QUESTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "a product by nvmath, captured": lambda: product("nvmath"),
    "a product by ctypes, captured": lambda: product("ctypes"),
    "CuPy's own product, captured": cupy_product,
    "a node of a graph": node,
    "cupy.random.Generator, captured": generator,
    "epilogues": epilogues,
}


def answer(question: str) -> dict[str, Any]:
    """Answer one question; whatever error comes is the answer."""
    try:
        return QUESTIONS[question]()
    except Exception as refusal:
        return {"error": f"{type(refusal).__name__}: {refusal}"}


def ask_all() -> dict[str, Any]:
    """Ask each question in a process of its own."""
    found: dict[str, Any] = {}
    for question in QUESTIONS:
        try:
            found[question] = ask(["benchmarks.questions", json.dumps({"question": question})], None)
        except WorkerFailed as failure:
            found[question] = {"error": str(failure)}
    return found


def main() -> None:
    config = json.loads(sys.argv[1])
    print(json.dumps(answer(config["question"]) if "question" in config else ask_all()), flush=True)


if __name__ == "__main__":
    main()

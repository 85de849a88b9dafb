"""Damaged and hostile files by the hundred thousand: a network or CheckpointError, and nothing else.

    python -m tests.soak.mutate --seed 0 --files 100000

Each file is one of a few networks' files with a few changes: bytes, length, the header's JSON, the description's
JSON, arrays that do not fit. While a file is loaded an audit hook watches for imports, execution, sockets, processes
and files other than the one; the time of each load is taken, and the growth of the process's memory. Seed and number
give a file again: ``--seed 0 --only 4711`` loads that one alone and shows what happens.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import xpnet
from tests.soak.watch import Watch
from xpnet.checkpoint import KNOWN
from xpnet.safefile import _parts

SLOWEST = 1.0  # seconds
LARGEST = 64 << 20  # bytes of growth beside twice the file
BACKEND = xpnet.open_backend("numpy")  # opened once: that looks through what is installed, whatever the file

Random = random.Random
Parts = tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]


def networks() -> list[xpnet.Network]:
    """Return small networks that use every kind of record."""
    x, y = np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3
    inner = [xpnet.Dense(4, weight_initializer=xpnet.Orthogonal(0.5)), xpnet.LayerNorm()]
    layers = [xpnet.Dense(4), xpnet.BatchNorm(), "relu", xpnet.Dropout(0.2), xpnet.Residual(inner), xpnet.Dense(3)]
    chain = xpnet.chain(
        xpnet.L2(), xpnet.ClipByNorm(), xpnet.Nadam(xpnet.CosineDecay(0.1, 9)), xpnet.ExponentialMovingAverage()
    )
    rates = xpnet.PiecewiseConstant((3, 6), (0.1, 0.01, 0.001))
    made = [
        xpnet.Network(layers, optimizer=chain, metrics=["accuracy", xpnet.TopKAccuracy(2), "f1"]),
        xpnet.Network([xpnet.Reshape((2, 2)), "flatten", xpnet.Dense(3)], optimizer=xpnet.SGD(rates, momentum=0.5)),
        xpnet.Network([xpnet.Dense(3)], loss="mse", dtype="float64"),
    ]
    for net in made[:2]:
        net.fit(x, y, epochs=2, batch_size=6, verbose=0)
    return made


def taken_apart(content: bytes) -> Parts:
    """Return a file's header and arrays as they stand there."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    data = content[8 + size :]
    return header, {n: data[slice(*e["data_offsets"])] for n, e in header.items() if n != "__metadata__"}  # type: ignore[misc]


def with_header(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# Mutations: (random, content) -> content


def flip_bytes(draw: Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    return bytes(damaged)


def flip_header_bytes(draw: Random, content: bytes) -> bytes:
    damaged, end = bytearray(content), 8 + int.from_bytes(content[:8], "little")
    for _ in range(draw.randint(1, 4)):
        damaged[draw.randrange(end)] = draw.choice(b'{}[]",:0123456789-.eE\\ntfa\x00\xff')
    return bytes(damaged)


def cut(draw: Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def splice(draw: Random, content: bytes) -> bytes:
    a, b, c = sorted(draw.randrange(len(content)) for _ in range(3))
    return content[:a] + content[b:c] * draw.randint(1, 3) + draw.choice([content[b:], content[c:], b""])


def change_header_size(draw: Random, content: bytes) -> bytes:
    size = draw.choice([0, 1, 2, 2**20, 2**20 + 1, 2**31, 2**63, 2**64 - 1, draw.randrange(len(content) * 2)])
    return size.to_bytes(8, "little") + content[8:]


def change_header(draw: Random, content: bytes) -> bytes:
    """Change an array's dtype, shape or place, its name, or the texts."""
    header, _ = taken_apart(content)
    data = content[8 + int.from_bytes(content[:8], "little") :]
    for _ in range(draw.randint(1, 2)):
        change_somewhere(draw, header)
    text = json.dumps(header).encode()
    if draw.random() < 0.1:
        text = text.replace(b'"dtype"', b'"dtype":"F32","dtype"', 1)
    return with_header(text, data)


def change_description(draw: Random, content: bytes) -> bytes:
    """Change the configuration; the arrays stay, so most architectures no longer match."""
    header, _ = taken_apart(content)
    data = content[8 + int.from_bytes(content[:8], "little") :]
    description = json.loads(header["__metadata__"]["xpnet"])
    for _ in range(draw.randint(1, 3)):
        change_somewhere(draw, description)
    text = json.dumps(description)
    if draw.random() < 0.1:
        value = draw.choice(["[" * 2000 + "]" * 2000, "9" * 5000, "NaN", '{"class":1,"class":2}', "[" * 100_000])
        text = text.replace(draw.choice([": 0", ": true", ": null", ": ["]), ": " + value, 1)
    header["__metadata__"]["xpnet"] = text
    return with_header(header, data)


def change_class(draw: Random, content: bytes) -> bytes:
    """Put another record in the place of one, with fields drawn from all."""
    header, _ = taken_apart(content)
    data = content[8 + int.from_bytes(content[:8], "little") :]
    description = json.loads(header["__metadata__"]["xpnet"])
    records = [node for node in nodes(description) if isinstance(node, dict) and "class" in node]
    record = draw.choice(records)
    record["class"] = draw.choice(sorted(KNOWN))
    if draw.random() < 0.7:
        fields = list(KNOWN[record["class"]].__dataclass_fields__)  # type: ignore[attr-defined]
        values = [value(draw) for _ in fields]
        record.update(dict(zip(fields, values, strict=True)))
        for name in set(record) - {"class", *fields}:
            del record[name]
    header["__metadata__"]["xpnet"] = json.dumps(description)
    return with_header(header, data)


def change_arrays(draw: Random, content: bytes) -> bytes:
    """Write arrays of another shape, dtype, value or name beside the same description, all well formed."""
    header, data = taken_apart(content)
    arrays = {}
    for name, raw in data.items():
        array = np.frombuffer(raw, {"F32": "<f4", "F64": "<f8"}[header[name]["dtype"]]).reshape(header[name]["shape"])
        chance = draw.random()
        if chance < 0.05:
            continue
        if chance < 0.1:
            array = array.astype(draw.choice(["?", "i1", "f2", "f4", "f8", "i8", "c8"]))
        elif chance < 0.15:
            array = np.zeros(draw.choice([(), (0,), (1,), (3, 0), (7, 5), (1,) * 9, (40_000,)]), array.dtype)
        elif chance < 0.2:
            array = np.full_like(array, draw.choice([np.nan, np.inf, -np.inf, 3e38, 1e-45]))
        arrays[draw.choice(["", "x", name + ".", "weights.\ud7ff"]) if chance > 0.98 else name] = array
    with np.errstate(all="ignore"):
        return b"".join(bytes(part) for part in _parts(arrays, header["__metadata__"]))


MUTATIONS: list[Callable[[Random, bytes], bytes]] = [
    flip_bytes, flip_header_bytes, cut, splice, change_header_size, change_header, change_description, change_class,
    change_arrays,
]  # fmt: skip


# JSON


def nodes(tree: Any) -> list[Any]:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [tree, *(node for child in children for node in nodes(child))]


def change_somewhere(draw: Random, tree: Any) -> None:
    """Replace, remove, add or move a value."""
    node = draw.choice([node for node in nodes(tree) if isinstance(node, dict | list) and node] or [tree])
    if not node:
        return
    key = draw.choice(list(node)) if isinstance(node, dict) else draw.randrange(len(node))
    kind = draw.randrange(5)
    if kind == 0:
        del node[key]
    elif kind == 1:
        node[key] = copy.deepcopy(draw.choice(nodes(tree)))
    elif kind == 2 and isinstance(node, dict):
        node[value(draw) if draw.random() < 0.1 else draw.choice(TEXTS)] = value(draw)
    elif kind == 3 and isinstance(node, list):
        node.extend(copy.deepcopy(node[key]) for _ in range(draw.choice([1, 2, 500])))
    else:
        node[key] = value(draw)


TEXTS = [
    "", "relu", "class", "units", "layers", "nan", "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1/a",
    "os.system", "__class__", "builtins.eval", "lambda: 0", "custom:Dense", "custom:Path", "float64", "\0", "\ud800",
    "x" * 5000, "__metadata__", "__reduce__", "zeros", "orthogonal", "macro", "mean", "F64", "weights.0.weight",
]  # fmt: skip
NUMBERS = [
    -1, 0, 1, 2, 3, 63, 64, 10**4, 10**6, 10**9, 10**12, 2**31, 2**53, 2**63, 2**64, 10**79, 0.0, -0.0, 0.5, 1e-320,
    1e38, 1e39, 1e300, float("nan"), float("inf"), True, False, None,
]  # fmt: skip


def value(draw: Random) -> Any:
    kind = draw.randrange(4)
    if kind == 0:
        return draw.choice(TEXTS)
    if kind == 1:
        return draw.choice(NUMBERS)
    if kind == 2:
        return draw.choice(
            [[], {}, [1], [2] * 64, [10**6] * 5, [[[]]], {"class": []}, {"class": "Path"}, ["relu"] * 300]
        )
    record: dict[str, Any] = {"class": draw.choice([*KNOWN, *TEXTS])}
    if draw.random() < 0.5:
        record[draw.choice(["units", "layers", "links", "rate", "learning_rate", "k", "shape"])] = draw.choice(NUMBERS)
    return record


def mutated(seed: int, number: int, originals: list[bytes]) -> tuple[str, bytes]:
    """Return the file that seed and number stand for, and what was done to it last."""
    draw = Random(f"{seed}/{number}")
    content = draw.choice(originals)
    mutation = draw.choice(MUTATIONS)
    for step in [mutation] if draw.random() < 0.8 else [draw.choice(MUTATIONS[5:]), mutation]:
        content = step(draw, content)
    return mutation.__name__, content


# Loading


def memory() -> int:
    """Return the most bytes of memory that this process has held; 0 on Windows, where nothing of Python's tells."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def written(net: xpnet.Network, folder: Path) -> bytes:
    """Return a network's file without its checksum, by which nearly all that is tried here would be refused."""
    net.save(folder / "original")
    content = (folder / "original").read_bytes()
    header, _ = taken_apart(content)
    del header["__metadata__"]["checksum"]
    return with_header(header, content[8 + int.from_bytes(content[:8], "little") :])


def run(seed: int, numbers: range, folder: Path) -> Counter[str]:
    """Load the files of these numbers, and count what came of it; raise SystemExit at the first that fails."""
    originals = [written(net, folder) for net in networks()]
    path = folder / "file"
    for content in originals:  # what is imported at the first load, for every file alike
        path.write_bytes(content)
        xpnet.load(path, backend=BACKEND)
    for name in xpnet.__all__:
        getattr(xpnet, name)
    watch, found, slowest = Watch(path), Counter[str](), 0.0
    warnings.simplefilter("error")
    for content in (b"warm", originals[0].replace(b"units", b"unitz")):  # of this the nearest name is looked for
        refused(path, content, watch)
    watch.seen.clear()
    for number in numbers:
        try:
            kind, content = mutated(seed, number, originals)
        except Exception:  # the first change left nothing for the second
            found["left out: the second change found nothing to act on"] += 1
            continue
        before = memory()
        try:
            outcome, took = timed(path, content, watch, time.perf_counter)
        except BaseException as error:
            raise SystemExit(f"--seed {seed} --only {number} ({kind}): {error!r}") from error
        grown = memory() - before
        slowest = max(slowest, took)
        if took > SLOWEST or grown > 2 * len(content) + LARGEST or watch.seen:
            raise SystemExit(f"--seed {seed} --only {number} ({kind}): {took:.2f} s, {grown:,} bytes, {watch.seen[:5]}")
        found[f"{kind}: {outcome}"] += 1
    found["slowest load in microseconds"] = int(slowest * 1e6)
    return found


def timed(path: Path, content: bytes, watch: Watch, clock: Callable[[], float]) -> tuple[str, float]:
    """Return what came of a load, and its seconds: the least of three, where the first seems slow.

    What a file costs it costs each time; a collection of garbage, or a busy machine, comes once.
    """
    taken: list[float] = []
    while len(taken) < 3 and (not taken or taken[-1] > SLOWEST):
        start = clock()
        outcome = refused(path, content, watch)
        taken.append(clock() - start)
    return outcome, min(taken)


def refused(path: Path, content: bytes, watch: Watch) -> str:
    """Load a file, with only CheckpointError allowed to come of it, and return what did."""
    path.write_bytes(content)
    with watch:
        try:
            xpnet.load(path, backend=BACKEND)
        except xpnet.CheckpointError:
            return "refused"
    return "loaded"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--only", type=int)
    parser.add_argument(
        "--folder", help="where the files are written; one in memory, such as /dev/shm, saves most of the time"
    )
    options = parser.parse_args()
    numbers = range(options.files) if options.only is None else range(options.only, options.only + 1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = run(options.seed, numbers, Path(folder))
    for name, count in sorted(found.items()):
        print(f"{count:10,}  {name}")
    loaded = sum(count for name, count in found.items() if name.endswith((": refused", ": loaded")))
    print(
        f"{loaded:,} files in {time.perf_counter() - start:.0f} s; peak {memory() / 2**20:.0f} MiB; pid {os.getpid()}"
    )


if __name__ == "__main__":
    main()

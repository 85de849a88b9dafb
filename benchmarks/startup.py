"""What a user waits for and stores before the first number: import, cold start, size on disk."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.peers import PEERS
from benchmarks.processes import ROOT, environment

IMPORTS = {"python": "pass", "numpy": "import numpy", "xpnet": "import xpnet", "torch": "import torch"}
# The package's names are loaded when they are first used, so the import alone would flatter it.
IMPORTS |= {"xpnet, used": "import xpnet; xpnet.Network, xpnet.Dense, xpnet.Adam, xpnet.open_backend('numpy')"}
IMPORTS |= {"jax": "import jax", "sklearn": "import sklearn.neural_network", "keras": "import keras"}

SAVE = """
import sys
from benchmarks.peers import PEERS
from benchmarks.work import TRAINING, first_weights, make_pool
from benchmarks.worker import make_trainer
from dataclasses import replace
work = replace(TRAINING["mlp"], pool=1)
weights = first_weights(work)
trainer = make_trainer({peer!r}, work, weights, make_pool(work))
"""

COLD = {
    "xpnet": (
        "trainer.network.save({path!r})",
        "import numpy as np, xpnet\nnet = xpnet.load({path!r})\nprint(net.predict({x})[0, 0])",
    ),
    "xpnet-jax": (
        "trainer.network.save({path!r})",
        "import numpy as np, xpnet\nnet = xpnet.load({path!r}, backend='jax')\nprint(net.predict({x})[0, 0])",
    ),
    "torch": (
        "import torch; torch.save(trainer.model.state_dict(), {path!r})",
        "import torch\nfrom torch import nn\n"
        "net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))\n"
        "net.load_state_dict(torch.load({path!r}))\nnet.eval()\n"
        "with torch.no_grad(): print(net(torch.zeros(1, 784)).softmax(1)[0, 0].item())",
    ),
    "jax-step": (
        "import numpy as np; np.savez({path!r}, *[v for layer in weights for v in layer.values()])",
        "import numpy as np, jax, jax.numpy as jnp\na, b, c, d, e, f = np.load({path!r} + '.npz').values()\n"
        "run = jax.jit(lambda x: jax.nn.softmax(jnp.maximum(jnp.maximum(x @ a + b, 0) @ c + d, 0) @ e + f))\n"
        "print(run({x})[0, 0])",
    ),
    "keras": (
        "trainer.probabilities.save({path!r} + '.keras')",
        "import numpy as np, keras\nnet = keras.saving.load_model({path!r} + '.keras', compile=False)\n"
        "print(net.predict({x}, verbose=0)[0, 0])",
    ),
    "sklearn": (
        "import pickle; del trainer.model._fit_stochastic; pickle.dump(trainer.model, open({path!r}, 'wb'))",
        "import numpy as np, pickle\nnet = pickle.load(open({path!r}, 'rb'))\nprint(net.predict_proba({x})[0, 0])",
    ),
}
"""How each peer saves its model, and a whole program that loads it and predicts one row."""

ROW = "np.zeros((1, 784), np.float32)"

COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""Keeps bytecode, as a Python without settings does: installers compile the peers, and a checkout is compiled once."""

DISTRIBUTIONS = {
    "xpnet": ("xpnet",),
    "torch": ("torch", "numpy"),
    "jax": ("jax",),
    "keras on jax": ("keras", "jax"),
    "sklearn": ("scikit-learn",),
}
"""What a user names to the installer; what those need is counted too."""


def seconds(code: str, threads: int | None, more: dict[str, str] | None = None) -> float:
    """Time from starting a Python until the first line that it prints."""
    start = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(threads, COMPILED | (more or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    taken = perf_counter() - start
    _, errors = process.communicate()
    if not line.strip() or process.returncode:
        raise RuntimeError(errors.strip().splitlines()[-1] if errors.strip() else f"status {process.returncode}")
    return taken


def interleaved(programs: dict[str, tuple[str, dict[str, str]]], runs: int, threads: int | None) -> dict[str, dict]:
    """Run each program so many times, in turn; the first of each compiles bytecode and is not counted."""
    taken: dict[str, list[float]] = {}
    failed: dict[str, dict] = {}
    for number in range(runs + 1):
        for name, (code, more) in programs.items():
            if name in failed:
                continue
            try:
                found = seconds(code, threads, more)
            except RuntimeError as error:
                failed[name] = {"left_out": str(error)}
                continue
            if number:
                taken.setdefault(name, []).append(found)
    done = {
        name: {"median": statistics.median(times), "spread": [min(times), max(times)], "rounds": times}
        for name, times in taken.items()
        if name not in failed
    }
    return done | failed


def import_times(runs: int, threads: int | None) -> dict[str, dict]:
    """Seconds to import, process start included."""
    programs = {
        name: (f"{code}\nprint(0)", {"KERAS_BACKEND": "jax"})
        for name, code in IMPORTS.items()
        if name == "python" or importlib.util.find_spec(name.partition(",")[0])
    }
    return interleaved(programs, runs, threads)


def cold_starts(peers: list[str], runs: int, threads: int | None) -> dict[str, dict]:
    """Seconds from starting a process to its first prediction by a saved mlp."""
    programs, failed = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (peer for peer in peers if peer in COLD):
            if absence := PEERS[name].absence():
                failed[name] = {"left_out": absence}
                continue
            save, load = (text.format(path=str(Path(folder) / f"{name}.model"), x=ROW) for text in COLD[name])
            more = PEERS[name].environment
            saved = subprocess.run(
                [sys.executable, "-c", SAVE.format(peer=name) + save],
                cwd=ROOT,
                env=environment(threads, more),
                capture_output=True,
                text=True,
                check=False,
            )
            if saved.returncode:
                failed[name] = {"left_out": saved.stderr.strip().splitlines()[-1]}
            else:
                programs[name] = (load, more)
        return interleaved(programs, runs, threads) | failed


def installed_sizes() -> dict[str, dict]:
    """Bytes on disk of each library with all that it needs, without compiled bytecode."""
    sizes = {}
    for name, asked in DISTRIBUTIONS.items():
        try:
            needed = needs(asked)
        except importlib.metadata.PackageNotFoundError as error:
            sizes[name] = {"left_out": f"not installed: {error.name}"}
            continue
        parts = {distribution: size_of(distribution) for distribution in sorted(needed)}
        sizes[name] = {"bytes": sum(parts.values()), "parts": parts}
    return sizes


def needs(asked: tuple[str, ...]) -> set[str]:
    """The named distributions and, of what they require, whatever is installed; extras are not followed."""
    found: set[str] = set()
    waiting = list(asked)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            if name in asked:
                raise
            continue
        found.add(name)
        waiting += [re.match(r"[\w.-]+", line)[0] for line in requirements if "extra ==" not in line]
    return found


def size_of(name: str) -> int:
    distribution = importlib.metadata.distribution(name)
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    if json.loads(distribution.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        # An editable install lists its link alone; the only one measured is xpnet's own.
        folders = [Path(importlib.util.find_spec(name).origin).parent for name in ("xpnet", "xpnet_backends")]
        files += [file for folder in folders for file in folder.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")

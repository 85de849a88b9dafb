"""When the NumPy backend compiles: after a while, together, by one thread, or never."""

import os
import subprocess
import sys
import threading
from itertools import count

import numpy as np
import pytest
from test_on_numpy_kernels import draw
from xpnet_backends.on_numpy import compiling, fusing, kernels, native
from xpnet_backends.on_numpy.compiling import Compiled
from xpnet_backends.on_numpy.plan import Plan

from xpnet import Dense, Network

pytest.importorskip("llvmlite")


@pytest.fixture
def patience(monkeypatch):
    """Let nothing be known, and every kernel pay; give what sets the seconds that are waited, at first for ever."""
    monkeypatch.setattr(fusing, "MIN_GAIN", -1e12)
    monkeypatch.setattr(native, "_routines", {})

    def set_to(seconds):
        monkeypatch.setattr(compiling, "COMPILE_AFTER", seconds)

    set_to(1e9)
    return set_to


def test_kernels_are_compiled_after_a_while_and_shared_between_sizes(patience):
    x, y = draw(64, 4), np.arange(64) % 3

    def train(units):
        network = Network([Dense(units), "relu", Dense(3)], seed=0)
        for _ in range(4):
            network.train_step(x, y)
        return network

    train(20)
    assert not [one for one in native._routines.values() if one.is_compiled]
    patience(-1.0)
    train(20)
    known = len(native._routines)
    assert known
    train(33)
    assert len(native._routines) == known
    patience(1e9)
    network = train(33)  # what is known is used at once
    (plan,) = network.compiled.function("step_loss")._local.plans.values()
    assert plan.pending is None
    assert "kernel" in plan.source


def test_networks_of_other_sizes_wait_for_kernels_together(patience, monkeypatch):
    """Many short trainings, as of a search for the best width: none of them runs for long, all together they do."""
    clock = count()  # by which every call takes a second
    monkeypatch.setattr(compiling, "perf_counter", lambda: float(next(clock)))
    x, y = draw(64, 4), np.arange(64) % 3

    def trained_plan(units, activation="relu"):
        network = Network([Dense(units), activation, Dense(3)], seed=0)
        for _ in range(3):
            network.train_step(x, y)
        (plan,) = network.compiled.function("step_loss")._local.plans.values()
        return plan

    first, second, other = trained_plan(20), trained_plan(33), trained_plan(20, "tanh")
    assert first.pending is second.pending is not None
    assert other.pending is not first.pending
    assert "kernel" not in first.source + second.source
    patience(first.pending.seconds)
    third = trained_plan(40)  # with it the seconds are too many
    assert third.pending is None
    assert "kernel" in third.source
    assert trained_plan(20, "tanh").pending is not None


def test_threads_compile_one_after_the_other_and_nothing_twice(patience, monkeypatch):
    """Plans that wait together would all compile at the same time."""
    patience(-1.0)
    original, routine, busy, made = Plan.__init__, native.Routine.__init__, [], []

    def watch(self, *arguments, compile_now=False, **options):
        busy.append(compile_now)
        try:
            assert busy.count(True) <= 1
            original(self, *arguments, compile_now=compile_now, **options)
        finally:
            busy.remove(compile_now)

    def note(self, make):
        routine(self, lambda: made.append(self) or make())

    monkeypatch.setattr(native.Routine, "__init__", note)
    monkeypatch.setattr(Plan, "__init__", watch)
    x, ready, plans = draw(500, 100), threading.Barrier(4), []

    def work():
        compiled = Compiled(lambda x: np.maximum(x * 2.0 + 1.0, 0.0) - 0.25)
        ready.wait()
        for _ in range(4):
            compiled(x)
        plans.extend(compiled._local.plans.values())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [plan.kernel_error for plan in plans] == [""] * 4
    assert len(made) == len({*made}) == sum(one.is_compiled for one in native._routines.values()) > 0


def test_a_program_that_kernels_refuse_is_a_plan_without_them(patience, monkeypatch):
    patience(-1.0)

    def refuse(*arguments):
        raise RuntimeError("no kernel of this")

    compiled = Compiled(lambda x: np.maximum(x * 2.0 + 1.0, 0.0) - 0.25)
    monkeypatch.setattr(kernels.KernelSource, "__init__", refuse)
    x = draw(500, 100)
    for _ in range(4):
        found = compiled(x)
    (plan,) = compiled._local.plans.values()
    assert plan.pending is None
    assert plan.kernel_error == "RuntimeError('no kernel of this')"
    np.testing.assert_array_equal(found, np.maximum(x * 2.0 + 1.0, 0.0) - 0.25)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_waits_until_nothing_is_compiled():
    code = """
import os, threading, time
from xpnet_backends.on_numpy import compiling
held = threading.Event()
def hold():
    with compiling.COMPILER_LOCK:
        held.set()
        time.sleep(0.2)
        compiled.append("a function")
compiled = []
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if not child:
    os._exit(0 if compiled and compiling.COMPILER_LOCK.acquire(timeout=1) else 1)
assert os.waitpid(child, 0)[1] == 0
assert compiling.COMPILER_LOCK.acquire(timeout=1)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=300)


def test_without_llvm_plans_do_without(monkeypatch):
    monkeypatch.setattr("xpnet_backends.on_numpy.writer.available", lambda: False)
    compiled = Compiled(lambda x: np.maximum(x * 2.0 + 1.0, 0.0))
    for _ in range(3):
        compiled(draw(500, 100))
    (plan,) = compiled._local.plans.values()
    assert plan.pending is None
    assert "kernel" not in plan.source


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_llvm_is_not_imported_before_something_is_compiled(precision):
    """That takes longer than many a small training."""
    program = f"""
import sys

import numpy as np

from xpnet import Dense, Network

network = Network([Dense(256), "relu", Dense(10)], precision={precision!r}, inputs=784)
x = np.random.default_rng(0).normal(size=(128, 784)).astype(np.float32)
from xpnet_backends.on_numpy import compiling
compiling.COMPILE_AFTER = 1e9
for _ in range(4):
    network.train_step(x, np.arange(128) % 10)
sys.exit("llvmlite" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


END = """
import threading, time
from xpnet_backends.on_numpy import compiling
compiling.EXIT_TIMEOUT = 300.0
def compile():
    with compiling.COMPILER_LOCK:
        holds.set()
        time.sleep(1.0)
        print("compiled", flush=True)
holds = threading.Event()
threading.Thread(target=compile, daemon=True).start()
holds.wait()
"""


def test_a_process_ends_after_what_is_being_compiled():
    done = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("compiled\n", 0), done.stderr

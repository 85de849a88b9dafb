"""Plant every mutant, one after the other, and see whether the tests notice: ``nox -s mutation``.

    python tests/soak/mutation.py                         # all of TARGETS
    python tests/soak/mutation.py xpnet/losses/real.py --list survivors.txt

The tests are collected once. Each mutant lives in a fork of that process, where the tests of its module run on
array-api-strict, which has no faster replacements, until one fails: first those that name the class or function, and
those that noticed other mutants of it. Needs a system with ``fork``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from mutants import Mutant, mutants, plant, unchanged

ROOT = Path(__file__).parents[2]
LAYERS = ("test_layers.py", "test_extremes.py", "test_hyper_parameters.py")
LOSSES = ("test_losses.py", "test_hyper_parameters.py", "test_extremes.py")
OPTIMIZERS = ("test_optimizers.py", "test_hyper_parameters.py")
TARGETS = {
    "xpnet/nn.py": ("test_nn.py", "test_losses.py", "test_layers.py", "test_optimizers.py", "test_precision.py"),
    **{f"xpnet/losses/{name}.py": LOSSES for name in ("classes", "real", "base")},
    "xpnet/schedules.py": ("test_schedules.py", "test_hyper_parameters.py"),
    **{f"xpnet/layers/{name}.py": LAYERS for name in ("activations", "dense", "dropout", "normalization", "reshaping")},
    "xpnet/layers/containers.py": ("test_layers.py", "test_training.py", "test_hyper_parameters.py"),
    **{f"xpnet/optimizers/{name}.py": OPTIMIZERS for name in ("rules", "links", "chaining", "base")},
}
"""The modules, and the tests that are to hold them."""

PATIENCE = 60
"""Seconds after which a mutant that hangs counts as noticed."""

GOAL = 0.95


class Hunt:
    """A pytest plugin whose loop runs the collected tests once for each mutant."""

    def __init__(self, path: str) -> None:
        self.module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        source = (ROOT / path).read_text(encoding="utf-8")
        self.plain, self.found = unchanged(source), list(mutants(source))
        self.path = path
        self.survivors: list[str] = []
        self.sound = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        tests, owner = list(session.items), ""
        self.sound = _alone(tests, self.plain, self.module) is None
        for mutant in self.found if self.sound else ():
            if mutant.owner != owner:
                owner = mutant.owner
                tests.sort(key=lambda test: owner.lower() not in test.nodeid.lower())
            noticed = _alone(tests, mutant, self.module)
            if noticed is None:
                self.survivors.append(f"{self.path}:{mutant.line}: {mutant.what}")
                print(self.survivors[-1], flush=True)
            else:  # what noticed this one is likely to notice the next
                tests.insert(0, tests.pop(noticed))
        return True


def _alone(tests: list[pytest.Item], mutant: Mutant, module: ModuleType) -> int | None:
    """Run the tests in a fork, with the mutant planted; return the place of the one that failed, None if all passed.

    Place 0 stands for a mutant that cannot be planted, or that hangs, too.
    """
    sys.stdout.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        tests[0].config.pluginmanager.unregister(name="terminalreporter")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        try:
            plant(module, mutant)
            failed = _first_failure(tests)
        except BaseException:  # a mutant that cannot even be planted is noticed by everybody
            failed = 0
        os.write(writer, str("" if failed is None else failed).encode())
        os._exit(failed is not None)
    os.close(writer)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(reader) as place:
        return int(place.read() or 0) if status else None


def _first_failure(tests: list[pytest.Item]) -> int | None:
    for i, (test, following) in enumerate(zip(tests, [*tests[1:], None], strict=True)):
        # Through the hook, as a test's own filters of warnings are put in place around it.
        test.ihook.pytest_runtest_protocol(item=test, nextitem=following)
        if test.session.testsfailed:
            return i
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help=f"modules; default: {', '.join(TARGETS)}")
    parser.add_argument("--list", type=Path, help="file for the survivors")
    options = parser.parse_args()
    os.chdir(ROOT)
    total = killed = 0
    lines = []
    for path in options.paths or TARGETS:
        began, hunt = time.perf_counter(), Hunt(path)
        tests = [f"tests/{name}" for name in TARGETS[path]]
        pytest.main(["-q", "-p", "no:cacheprovider", "--backend", "array-api-strict", *tests], plugins=[hunt])
        if not hunt.sound:
            raise SystemExit(f"the tests of {path} fail without any mutant, or were not run")
        noticed = len(hunt.found) - len(hunt.survivors)
        total, killed = total + len(hunt.found), killed + noticed
        print(f"{path}: {noticed} of {len(hunt.found)} noticed, {time.perf_counter() - began:.0f} s", flush=True)
        lines += hunt.survivors
    print(f"{killed} of {total} mutants noticed: {killed / total:.1%}")
    if options.list:
        options.list.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if killed < GOAL * total:
        raise SystemExit(f"fewer than {GOAL:.0%} were noticed")


if __name__ == "__main__":
    main()

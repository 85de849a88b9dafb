"""Threads of xpnet's own: OpenBLAS's jobs on them, many callers at a time, fewer threads, forks, and the end."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from pools import used
from xpnet_backends.on_numpy import compiling, openblas, workers
from xpnet_backends.on_numpy.compiling import Compiled

pytest.importorskip("llvmlite")

pytestmark = pytest.mark.skipif(not openblas.can_redirect_jobs(), reason="NumPy multiplies by another library here")

ENVIRONMENT = {**os.environ, "XPNET_MKL": "0"}


def function(x):
    return np.maximum(np.exp(x) * 3.0 - 1.0, 0.0)


X = np.random.default_rng(0).normal(size=400_000)


@pytest.fixture
def compiled(monkeypatch):
    """Return a function whose plan is shared by three threads."""
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    with used("OpenBLAS", 3, monkeypatch):
        compiled = Compiled(function)
        for _ in range(4):
            np.testing.assert_array_equal(compiled(X), function(X))
        (plan,) = compiled._local.plans.values()
        assert f"{workers.NAME}: exp(" in plan.source
        yield compiled


@pytest.fixture
def set_threads():
    """Return the function that limits OpenBLAS's threads."""
    before, function = openblas.size(), openblas.exported(openblas.library(), "scipy_openblas_set_num_threads")
    yield function
    function(before)


def started():
    return int(workers._boxes()[0, workers.STARTED])


def test_fewer_threads_than_a_plan_was_written_for_do_its_parts(compiled, set_threads):
    for threads in (3, 3, 1, 2, 3, 40, 3):
        set_threads(threads)
        np.testing.assert_array_equal(compiled(X), function(X))


def test_many_callers_take_turns(compiled):
    a, failures = np.random.default_rng(0).normal(size=(200, 200)), []
    product = a @ a

    def call(number):
        mine = Compiled(function)
        x = np.roll(X, number)
        wanted = function(x)
        for _ in range(20):
            if not (np.array_equal(mine(x), wanted) and np.array_equal(a @ a, product)):
                failures.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    np.testing.assert_array_equal(compiled(X), function(X))


def test_a_thread_sleeps_when_there_is_nothing_to_do_and_wakes_again(compiled):
    boxes = workers._boxes()
    for _ in range(3):
        np.testing.assert_array_equal(compiled(X), function(X))
        for _ in range(100_000):
            if all(boxes[1 : started() + 1, workers.STATE] == workers.ASLEEP):
                break
            threading.Event().wait(0.001)
        else:
            raise AssertionError(f"not all sleep: {boxes[: started() + 1]}")


PREPARED = """
import os, sys, threading, time
import numpy as np
from xpnet_backends.on_numpy import compiling, gemm, openblas, team, workers
compiling.COMPILE_AFTER = -1.0
set_threads = openblas.exported(openblas.library(), "scipy_openblas_set_num_threads")
set_threads(3)
function = lambda x: np.maximum(np.exp(x) * 3.0 - 1.0, 0.0)
compiled = compiling.Compiled(function)
x = np.random.default_rng(0).normal(size=400_000)
wanted = function(x)
"""

SHARED = """
a = np.random.default_rng(0).normal(size=(300, 300))
product = a @ a
def check_x():
    assert np.array_equal(compiled(x), wanted)
def check():
    check_x()
    assert np.array_equal(a @ a, product)
for _ in range(4):
    check()
(plan,) = compiled._local.plans.values()
assert "workers: exp(" in plan.source, plan.source
assert workers._boxes()[0, workers.STARTED] == 2
"""


def run(code, before=SHARED):
    """Run code in a process of its own, after some that has work shared."""
    subprocess.run([sys.executable, "-c", PREPARED + before + code], env=ENVIRONMENT, check=True, timeout=300)


def test_what_no_thread_has_begun_the_caller_does():
    run(
        """
libc = workers._libc
workers._libc = lambda name: libc("sched_yield" if name == "pthread_create" else name)  # which is 0, and starts nobody
for _ in range(6):
    assert np.array_equal(compiled(x), wanted)
(plan,) = compiled._local.plans.values()
assert "workers: exp(" in plan.source, plan.source
boxes = workers._boxes()
assert boxes[0, workers.STARTED] == 2
assert not boxes[:3, workers.STATE].any()
os._exit(0)  # without a wait for threads that never were
""",
        before="",
    )


def test_offers_that_come_to_nothing_leave_threads_as_they_were():
    run(
        """
boxes = workers._boxes()
for round in range(300):
    time.sleep(0.002 * (round % 3))  # so that some are asleep, and some about to be
    check_x()
    if round % 10 == 0:
        check()
for _ in range(100_000):
    if all(boxes[1:3, workers.STATE] == workers.ASLEEP):
        break
    time.sleep(0.002)
else:
    raise AssertionError(boxes[:3])
check()
"""
    )


def test_products_run_on_these_threads_and_keep_their_bits():
    run(
        """
stream = np.random.default_rng(0)
a, b = stream.normal(size=(150, 200)), stream.normal(size=(200, 250))
square = a @ b[:, :150]

def results():
    return [
        a @ b, a.astype("f") @ b.astype("f"), a @ b[:, 0], a.T @ a, (a * 1j) @ (b + 1j), np.linalg.inv(square),
        np.linalg.cholesky(a @ a.T), *np.linalg.qr(b), np.linalg.svd(a)[1], np.linalg.solve(square, a),
        np.linalg.eigvalsh(a @ a.T),
    ]

own = {}
for threads in (1, 2, 3):
    set_threads(threads)
    own[threads] = results()
for _ in range(4):
    compiled(x)
boxes = workers._boxes()
for threads in (1, 2, 3):
    set_threads(threads)
    boxes[0, workers.DO] = 0
    for one, other in zip(results(), own[threads], strict=True):
        assert one.tobytes() == other.tobytes()
    assert (boxes[0, workers.DO] != 0) == (threads > 1)
set_threads(5)
a @ b
assert boxes[0, workers.STARTED] == 4
""",
        before="",
    )


def test_of_many_threads_the_caller_does_all():
    """OpenBLAS's own threads and these would have numbers in common; and tiles are for few threads."""
    run(
        """
boxes, most = workers._open() and workers._boxes(), openblas.max_threads() // 2
for threads, count in ((most + 1, 0), (most, most - 1)):
    set_threads(threads)
    again = compiling.Compiled(function)
    for _ in range(4):
        assert np.array_equal(again(x), wanted)
    (plan,) = again._local.plans.values()
    assert "workers: exp(" in plan.source, plan.source
    assert boxes[0, workers.STARTED] == count, (threads, boxes[0])
    assert team.size() == threads > gemm.MAX_THREADS
""",
        before="",
    )


def test_threads_that_cannot_be_started_are_done_without():
    run(
        """
libc = workers._libc
workers._libc = lambda name: libc("getpid" if name == "pthread_create" else name)  # which is not 0 either
for _ in range(4):
    assert np.array_equal(compiled(x), wanted)
(plan,) = compiled._local.plans.values()
assert "workers: exp(" in plan.source, plan.source
boxes = workers._boxes()
assert (boxes[0, workers.STARTED], boxes[0, workers.LENT]) == (0, 0)
a = np.random.default_rng(0).normal(size=(300, 300))
np.testing.assert_allclose((a @ a)[0], [np.sum(a[0] * column) for column in a.T])  # by OpenBLAS's own threads
""",
        before="",
    )


def test_a_forked_process_goes_on_with_threads_of_its_own():
    run("""
child = os.fork()
if not child:
    assert workers._boxes()[0, workers.STARTED] == 0
for _ in range(3):
    check()
assert workers._boxes()[0, workers.STARTED] == 2
if not child:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""")


def test_a_process_that_forks_while_work_is_shared_leaves_its_child_free():
    run("""
ends = threading.Event()
def work():  # products would leave OpenBLAS's own locks held in the child
    mine = compiling.Compiled(function)
    while not ends.is_set():
        mine(x)
others = [threading.Thread(target=work) for _ in range(2)]
for other in others:
    other.start()
children = []
for _ in range(20):
    child = os.fork()
    if not child:
        for _ in range(3):
            check()
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
ends.set()
""")


@pytest.mark.parametrize("daemon", [False, True])
def test_a_process_ends_whatever_its_threads_do(daemon):
    run(f"""
def work():  # a product that a daemon has begun may keep NumPy from ending, whoever else is there
    mine = compiling.Compiled(function)
    for _ in range(10**9 if {daemon} else 50):
        mine(x)
        {daemon} or a @ a
for _ in range(3):
    threading.Thread(target=work, daemon={daemon}).start()
time.sleep(0.2)
""")


def test_jobs_are_given_back_when_nothing_else_is_shared_and_taken_again():
    run("""
set_threads(2)
product = a @ a
boxes = workers._boxes()
def is_run_here():
    boxes[0, workers.DO] = 0
    assert np.array_equal(a @ a, product)
    return bool(boxes[0, workers.DO])
for _ in range(2):
    check()
    assert sum(is_run_here() for _ in range(workers.ENOUGH - 1)) == workers.ENOUGH - 1
    assert not is_run_here()
    assert not is_run_here()
""")


AT_ONCE = """
def at_once(*functions):
    ends, failures = time.monotonic() + 2, []
    def repeat(function):
        while time.monotonic() < ends:
            if not function():
                failures.append(function)
    others = [threading.Thread(target=repeat, args=(function,)) for function in functions]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert not failures
"""


@pytest.mark.parametrize("threads", [2, 4])
def test_what_openblas_leaves_to_its_own_threads_meets_none_of_these(threads):
    """Its factorizations go around what is lent, while other products do not."""
    run(
        f"set_threads({threads})"
        + AT_ONCE
        + """
m, b = np.random.default_rng(1).normal(size=(700, 700)), np.ones((700, 5))
a = a.astype("f")
solved, product = np.linalg.solve(m, b), a @ a
at_once(lambda: np.array_equal(np.linalg.solve(m, b), solved), lambda: (check_x(), np.array_equal(a @ a, product))[1])
"""
    )


@pytest.mark.parametrize("threads", [2, 4])
def test_products_that_run_when_jobs_are_lent_or_given_back_go_on(threads):
    run(
        f"set_threads({threads})"
        + AT_ONCE
        + """
import ctypes
a, other = a.astype("f"), np.random.default_rng(1).normal(size=(1000, 1000))
product, others = a @ a, other @ other
give_back = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(openblas.redirect_function())
def lent_and_given_back():
    check_x()
    same = all(np.array_equal(a @ a, product) for _ in range(5))
    give_back(None)
    workers._boxes()[0, workers.LENT] = 0
    return same
at_once(lent_and_given_back, lambda: np.array_equal(other @ other, others))
"""
    )


def test_at_the_end_nobody_waits_for_what_a_daemon_multiplies():
    """A handler of atexit that was there first runs last, when threads have ended, and multiplies, too."""
    code = (
        """
import atexit, numpy as np
a = np.random.default_rng(0).normal(size=(300, 300))
product = a @ a
atexit.register(lambda: print(np.allclose(a @ a, product), flush=True))
"""
        + PREPARED
        + SHARED
        + """
def work():
    mine = compiling.Compiled(function)
    while True:
        mine(x)
        a @ a
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
"""
    )
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        ) as process:
            guard = threading.Timer(300, process.kill)
            guard.start()
            assert process.stdout.readline() == "True\n"
            guard.cancel()
            process.kill()  # OpenBLAS itself may wait for threads of its own now, whoever uses it


def test_after_the_end_each_does_its_own_work():
    run("""
import atexit
@atexit.register
def late():
    check()
    print("late", flush=True)
""")

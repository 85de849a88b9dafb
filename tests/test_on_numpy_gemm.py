"""Products of matrices in tiles: NumPy's bits in every form, nothing touched beyond, only where that is known."""

import array
import ctypes
import mmap
from itertools import pairwise

import numpy as np
import pytest
from pools import used
from xpnet_backends.on_numpy import blas, blocks, compiling, gemm, native, openblas, order, team
from xpnet_backends.on_numpy.compiling import Compiled
from xpnet_backends.on_numpy.native import Place, Program

import xpnet

pytest.importorskip("llvmlite")

needs_core = pytest.mark.skipif(
    openblas.core() not in gemm.CORES,
    reason=f"OpenBLAS's products are in another order here: those of {' and '.join(gemm.CORES)} are known",
)


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    """Have so many threads of OpenBLAS's."""
    monkeypatch.setattr(gemm, "_is_measured", lambda: True)
    with used("OpenBLAS", request.param, monkeypatch):
        yield request.param


def matrix(rows, columns, turned=False, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(columns, rows) if turned else (rows, columns))
    drawn = drawn.astype("float32")
    return drawn.T if turned else drawn


def multiplied(a, b, into, block=None):
    """Multiply in tiles; return whether that could be."""
    made = gemm.call(*map(Place.of, (a, b, into)), block)
    if made is None:
        return False
    assert native.run()(Program([made], array.array("q", [0])).address, 1, 0) == 0
    return True


def same_bits(found, wanted):
    np.testing.assert_array_equal(found.view("uint32"), wanted.view("uint32"))


FORMS = [
    (1000, 121, 100), (128, 784, 512), (512, 128, 512), (784, 128, 512), (60, 10_000, 64), (5000, 64, 10),
    (1000, 10, 100), (127, 500, 449), (66, 900, 65), (40, 897, 63), (7, 1500, 300), (3, 1344, 1024), (2, 4000, 130),
    (3000, 2, 90), (50, 700, 17), (49, 895, 33), (48, 896, 48), (8192, 16, 5), (24, 2000, 16), (257, 449, 129),
]  # fmt: skip


@needs_core
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_products_are_numpys_bit_for_bit(threads, form):
    rows, terms, columns = form
    known = 0
    for a_turned in (False, True):
        for b_turned in (False, True):
            a, b = matrix(rows, terms, a_turned), matrix(terms, columns, b_turned, seed=1)
            into = np.full((rows, columns), np.nan, dtype="float32")
            if multiplied(a, b, into):
                same_bits(into, np.dot(a, b))
                known += 1
    assert known >= 2  # of few multiplications OpenBLAS has other orders, too


@needs_core
def test_random_forms_are_numpys_bit_for_bit(threads):
    generator = np.random.default_rng(threads)
    known = 0
    for seed in range(60):
        rows, columns = (int(2 ** generator.uniform(1, 10)) for _ in range(2))
        terms = max(2, int(2 ** generator.uniform(19, 22) / rows / columns))
        a_turned, b_turned = generator.integers(2, size=2).astype(bool)
        a, b = matrix(rows, terms, a_turned, seed), matrix(terms, columns, b_turned, seed + 1)
        into = np.full((rows, columns), np.nan, dtype="float32")
        if multiplied(a, b, into):
            np.testing.assert_array_equal(into, np.dot(a, b), err_msg=str((a.shape, b.shape, a_turned, b_turned)))
            known += 1
    assert known > 40


@needs_core
@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)], ids=str)
def test_numbers_that_are_not_finite_spread_as_in_numpys(threads, turned):
    a, b = matrix(90, 500, turned[0]), matrix(500, 100, turned[1])
    a[3, 7], a[5, 499], a[89, 0], a[40] = np.nan, np.inf, -np.inf, 1e-40
    b[2, 99], b[480, 64], b[:, 5], b[:, 6] = np.nan, np.inf, 3e38, -0.0
    into = np.empty((90, 100), dtype="float32")
    with np.errstate(all="ignore"):
        assert multiplied(a, b, into)
        wanted = np.dot(a, b)
    np.testing.assert_array_equal(into, wanted)  # a NaN's own bits are left open
    assert np.isnan(into).any()
    assert np.isinf(into).any()


class Fenced:
    """Matrices of which memory ends where none may be read or written."""

    def __init__(self):
        self.held = []

    def __call__(self, values):
        turned = not values.flags.c_contiguous
        pages = -(-values.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, pages + mmap.PAGESIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        protect = ctypes.CDLL(None).mprotect
        assert protect(ctypes.c_void_p(address + pages), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
        shape = values.shape[::-1] if turned else values.shape
        found = np.frombuffer(memory, np.float32, values.size, pages - values.nbytes).reshape(shape)
        found[...] = values.T if turned else values
        self.held.append(memory)
        return found.T if turned else found


@needs_core
@pytest.mark.parametrize("form", [(50, 500, 100), (130, 449, 65), (128, 300, 512), (20, 1000, 33)], ids=str)
def test_nothing_beyond_the_matrices_is_read_or_written(threads, form):
    rows, terms, columns = form
    fenced, known = Fenced(), 0
    for a_turned in (False, True):
        for b_turned in (False, True):
            a, b = fenced(matrix(rows, terms, a_turned)), fenced(matrix(terms, columns, b_turned))
            into = fenced(np.zeros((rows, columns), dtype="float32"))
            if multiplied(a, b, into):
                same_bits(into, np.dot(a, b))
                known += 1
    assert known >= 2


@needs_core
@pytest.mark.parametrize("rows", [2 * blocks.ROWS, 3 * blocks.ROWS + 20, 2 * blocks.ROWS + 1], ids=str)
def test_a_tall_product_is_that_of_blocks_bit_for_bit(threads, rows):
    a, b = matrix(rows, 500), matrix(500, 64)
    into = np.empty((rows, 64), dtype="float32")
    calls = blas.in_blocks(*map(Place.of, (a, b, into)))
    assert None not in calls
    assert len(calls) <= 2  # all whole blocks in one
    assert native.run()(Program(calls, array.array("q", [0])).address, 1, 0) == 0
    same_bits(into, blocks.dot_in_blocks(a, b, np.empty_like(into)))


def planned(*arrays):
    """Multiply by a plan until it is compiled; return what it made and its source."""
    compiled = Compiled(np.matmul)
    for _ in range(4):
        found = compiled(*arrays)
    (plan,) = compiled._local.plans.values()
    return found, plan.source


@needs_core
def test_a_plan_multiplies_in_tiles(threads, monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", -1.0)
    monkeypatch.setattr(native, "_routines", {})
    a, b = matrix(300, 200), matrix(200, 90)
    found, source = planned(a, b)
    same_bits(found, np.matmul(a, b))
    assert "dot(" in source
    assert native._routines["gemm" if threads == 1 else ("part", "gemm")].known


def test_other_products_are_left_to_one_call(monkeypatch):
    monkeypatch.setattr(gemm, "_is_measured", lambda: True)
    a, b, into = matrix(300, 200), matrix(200, 90), np.zeros((300, 90), dtype="float32")
    if openblas.core() in gemm.CORES:
        assert gemm.call(*map(Place.of, (a, b, into))) is not None
    assert gemm.call(*(Place.of(each.astype("float64")) for each in (a, b, into))) is None
    assert gemm.call(Place.of(a[:20]), Place.of(b), Place.of(into[:20])) is None  # small
    with monkeypatch.context() as patch:
        patch.setattr(team, "size", lambda: gemm.MEMBERS + 1)
        assert gemm.call(*map(Place.of, (a, b, into))) is None
    with monkeypatch.context() as patch:
        patch.setattr(order, "found", lambda *form: None)
        assert gemm.call(*map(Place.of, (a, b, into))) is None
    monkeypatch.setattr(gemm, "_is_measured", lambda: False)
    assert gemm.call(*map(Place.of, (a, b, into))) is None


@pytest.mark.parametrize(
    ("core", "intel", "measured"),
    [("SkylakeX", False, True), ("SkylakeX", True, False), ("Haswell", False, False), ("", False, False)],
)
def test_processors_that_were_not_measured_are_left_alone(monkeypatch, core, intel, measured):
    monkeypatch.setattr(openblas, "core", lambda: core)
    monkeypatch.setattr(gemm, "is_intel", lambda: intel)
    assert gemm._is_measured.__wrapped__() is measured


def test_an_order_is_one_of_numpys_or_none(monkeypatch):
    found = order.found.__wrapped__
    monkeypatch.setattr(order, "in_order", lambda a, b, ends: np.zeros((len(a), b.shape[1]), dtype="float32"))
    assert found(100, 300, 64, False, False, 2) is None


@pytest.mark.parametrize("ends", [[0, 600], [0, 300, 600], [0, 448, 524, 600]], ids=str)
def test_an_order_adds_all_terms(ends):
    a, b = matrix(20, 600), matrix(600, 30)
    exact = a.astype("float64") @ b.astype("float64")
    bound = 600 * np.finfo("float32").eps * (np.abs(a).astype("float64") @ np.abs(b).astype("float64"))
    assert np.all(np.abs(order.in_order(a, b, ends) - exact) <= bound)


@pytest.mark.parametrize("terms", [1, 447, 448, 449, 895, 896, 897, 60_000])
@pytest.mark.parametrize("unit", [1, 16])
def test_the_ends_of_sums_cover_all_terms(terms, unit):
    ends = order.ends(terms, 448, unit)
    assert (ends[0], ends[-1]) == (0, terms)
    assert all(0 < end - begin <= 448 for begin, end in pairwise(ends))


@needs_core
def test_a_networks_steps_keep_their_bits(threads, monkeypatch):
    """The first steps are NumPy's own products, the later ones are compiled."""
    generator = np.random.default_rng(0)
    batches = [(generator.normal(size=(200, 80)).astype("float32"), generator.integers(10, size=200)) for _ in range(8)]

    def trained(patience):
        monkeypatch.setattr(compiling, "PATIENCE", patience)
        network = xpnet.Network([xpnet.Dense(100), "relu", xpnet.Dense(10)], inputs=80, seed=0)
        losses = [float(network.train_step(x, y)) for x, y in batches]
        return losses, network.get_weights()

    losses, weights = trained(1e9)
    compiled_losses, compiled_weights = trained(-1.0)
    assert losses == compiled_losses
    for before, after in zip(weights, compiled_weights, strict=True):
        np.testing.assert_array_equal(before, after)

"""Products of matrices in tiles: NumPy's bits in every form, nothing touched beyond, only where that is known."""

import array
import ctypes
import functools
import mmap
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pools import used
from xpnet_backends.on_numpy import (
    bfloat16_pairs,
    blas,
    blocks,
    compiling,
    gemm,
    macrokernel,
    microkernel,
    mkl,
    native,
    openblas,
    plan,
    summation_order,
    team,
)
from xpnet_backends.on_numpy.compiling import Compiled
from xpnet_backends.on_numpy.native import Location, Program

import xpnet

pytest.importorskip("llvmlite")

needs_core = pytest.mark.skipif(
    openblas.core() != gemm.CORE, reason=f"OpenBLAS adds in another order here: that of {gemm.CORE} is known"
)

needs_openblas = pytest.mark.skipif(mkl.available(), reason="MKL multiplies here")


@pytest.fixture(params=[1, 2, 3, 4])
def threads(request, monkeypatch):
    """Have so many threads of OpenBLAS's."""
    monkeypatch.setattr(gemm, "_is_supported_processor", lambda: True)
    with used("OpenBLAS", request.param, monkeypatch):
        yield request.param


@pytest.fixture(params=[False, True], ids=["float32", "bfloat16"])
def paired(request):
    """Whether matrices hold numbers of bfloat16, of which two terms are added at a time."""
    if request.param and not bfloat16_pairs.available():
        pytest.skip("this processor has no AVX512-BF16")
    return request.param


def matrix(rows, columns, turned=False, seed=0, rounded=False):
    drawn = np.random.default_rng(seed).normal(size=(columns, rows) if turned else (rows, columns))
    drawn = drawn.astype("float32")
    if rounded:
        drawn = (drawn.view("uint32") & np.uint32(0xFFFF0000)).view("float32")
    return drawn.T if turned else drawn


def perform(*calls):
    program = Program(calls, array.array("q", [0]))
    assert native.program_runner()(program.address, 1, 0) == 0
    return program  # which has to live until here


def multiplied(a, b, into, paired=False):
    """Multiply in tiles; return whether that could be."""
    made = gemm.tiled_call(*map(Location.of, (a, b, into)), bfloat16=paired)
    if made is not None:
        in_pairs = any(word is bfloat16_pairs.packing_routine(not a.flags.c_contiguous) for word in made.words)
        assert in_pairs == (paired and a.shape[1] % 4 == 0)
        perform(made)
    return made is not None


def same_bits(found, wanted):
    np.testing.assert_array_equal(found.view("uint32"), wanted.view("uint32"))


FORMS = [
    (1000, 121, 100), (128, 784, 512), (512, 128, 512), (784, 128, 512), (60, 10_000, 64), (5000, 64, 10),
    (1000, 10, 100), (127, 500, 449), (66, 900, 65), (40, 897, 63), (7, 1500, 300), (3, 1344, 1024), (2, 4000, 130),
    (3000, 2, 90), (50, 700, 17), (49, 895, 33), (48, 896, 48), (8192, 16, 5), (24, 2000, 16), (257, 449, 129),
    (127, 500, 448), (66, 900, 65), (40, 904, 63), (7, 1500, 300), (257, 452, 129), (3000, 4, 90), (51, 1000, 24),
]  # fmt: skip


@needs_core
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_products_are_numpys_bit_for_bit(threads, form, paired):
    rows, terms, columns = form
    known = 0
    for a_turned in (False, True):
        for b_turned in (False, True):
            a, b = matrix(rows, terms, a_turned, 0, paired), matrix(terms, columns, b_turned, 1, paired)
            into = np.full((rows, columns), np.nan, dtype="float32")
            if multiplied(a, b, into, paired):
                same_bits(into, np.dot(a, b))
                known += 1
    assert known >= 2  # of few multiplications OpenBLAS has other orders, too


@needs_core
def test_random_forms_are_numpys_bit_for_bit(threads, paired):
    generator = np.random.default_rng(threads)
    known = 0
    for seed in range(60):
        rows, columns = (int(2 ** generator.uniform(1, 10)) for _ in range(2))
        terms = max(2, int(2 ** generator.uniform(19, 22) / rows / columns))
        terms = -(-terms // 4) * 4 if paired else terms
        a_turned, b_turned = generator.integers(2, size=2).astype(bool)
        a, b = matrix(rows, terms, a_turned, seed, paired), matrix(terms, columns, b_turned, seed + 1, paired)
        into = np.full((rows, columns), np.nan, dtype="float32")
        if multiplied(a, b, into, paired):
            same_bits(into, np.dot(a, b))
            known += 1
    assert known > 40


@needs_core
@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)], ids=str)
def test_numbers_that_are_not_finite_spread_as_in_numpys(threads, turned, paired):
    a, b = matrix(90, 500, turned[0], 0, paired), matrix(500, 100, turned[1], 0, paired)
    a[3, 7], a[5, 499], a[89, 0], a[40] = np.nan, np.inf, -np.inf, 0.0 if paired else 1e-40
    b[2, 99], b[480, 64], b[:, 5], b[:, 6] = np.nan, np.inf, 2.0**127 if paired else 3e38, -0.0
    into = np.empty((90, 100), dtype="float32")
    with np.errstate(all="ignore"):
        assert multiplied(a, b, into, paired)
        wanted = np.dot(a, b)
    np.testing.assert_array_equal(into, wanted)  # a NaN's own bits are left open
    assert np.isnan(into).any()
    assert np.isinf(into).any()


@needs_core
@pytest.mark.parametrize("form", [(256, 64, 64), (100, 500, 100), (100, 52, 101), (8192, 16, 5)], ids=str)
def test_zeros_have_numpys_signs(threads, form):
    rows, terms, columns = form
    a, b = np.full((rows, terms), -1e-30, dtype="float32"), np.full((terms, columns), 1e-30, dtype="float32")
    a[::2] *= -1
    into = np.ones((rows, columns), dtype="float32")
    if multiplied(a, b, into):
        same_bits(into, np.dot(a, b))


def test_pairs_are_added_only_where_they_are_added_in_order(monkeypatch):
    """Halves change places here, as if a processor added the lower ones first."""
    if not bfloat16_pairs.available():
        pytest.skip("this processor has no AVX512-BF16")
    assert gemm._adds_pairs.__wrapped__()
    in_pairs = gemm._in_pairs
    monkeypatch.setattr(gemm, "_in_pairs", lambda terms: in_pairs(terms) << 16 | in_pairs(terms) >> 16)
    assert not gemm._adds_pairs.__wrapped__()


def test_where_pairs_are_not_added_in_order_there_are_none(threads, monkeypatch):
    monkeypatch.setattr(gemm, "_adds_pairs", functools.cache(lambda: False))
    a, b, into = matrix(128, 784, rounded=True), matrix(784, 64, rounded=True), np.empty((128, 64), np.float32)
    made = gemm.tiled_call(*map(Location.of, (a, b, into)), bfloat16=True)
    if made is not None:
        assert bfloat16_pairs.packing_routine(False) not in made.words
        perform(made)
        same_bits(into, np.dot(a, b))


class Fenced:
    """Matrices of which memory begins, or ends, where none may be read or written."""

    def __init__(self, at_end):
        self.at_end, self.held = at_end, []

    def __call__(self, values):
        turned, page = not values.flags.c_contiguous, mmap.PAGESIZE
        pages = -(-values.nbytes // page) * page
        memory = mmap.mmap(-1, pages + 2 * page)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for fence in (address, address + page + pages):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
        start = page + (pages - values.nbytes if self.at_end else 0)
        shape = values.shape[::-1] if turned else values.shape
        found = np.frombuffer(memory, np.float32, values.size, start).reshape(shape)
        found[...] = values.T if turned else values
        self.held.append(memory)
        return found.T if turned else found


@needs_core
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("form", [(50, 500, 100), (130, 449, 65), (128, 300, 512), (20, 1000, 33)], ids=str)
def test_nothing_beyond_the_matrices_is_read_or_written(threads, form, at_end, paired, monkeypatch):
    rows, terms, columns = form
    fenced, known = Fenced(at_end), 0
    monkeypatch.setattr(gemm, "aligned_empty", lambda shape, dtype: fenced(np.zeros(shape, dtype=dtype)))
    for a_turned in (False, True):
        for b_turned in (False, True):
            a, b = (
                fenced(matrix(*shape, 0, paired)) for shape in ((rows, terms, a_turned), (terms, columns, b_turned))
            )
            into = fenced(np.zeros((rows, columns), dtype="float32"))
            if multiplied(a, b, into, paired):
                same_bits(into, np.dot(a, b))
                known += 1
    assert known >= 2


@needs_core
@pytest.mark.parametrize("rows", [2 * blocks.ROWS, 3 * blocks.ROWS + 20, 2 * blocks.ROWS + 1], ids=str)
def test_a_tall_product_is_that_of_blocks_bit_for_bit(threads, rows):
    a, b = matrix(rows, 500), matrix(500, 64)
    into = np.empty((rows, 64), dtype="float32")
    calls = blas.block_calls(*map(Location.of, (a, b, into)))
    assert None not in calls
    assert len(calls) <= 2  # all whole blocks in one
    perform(*calls)
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
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    monkeypatch.setattr(native, "_routines", {})
    a, b = matrix(300, 900), matrix(900, 90)
    found, source = planned(a, b)
    same_bits(found, np.matmul(a, b))
    assert "dot(" in source
    assert native.find_routine("gemm" if threads == 1 else ("part", "gemm")).is_compiled


@needs_core
def test_what_tiles_are_wanted_keeps_no_plan_from_other_kernels(threads, monkeypatch):
    """Networks of other sizes share kernels, and have them at once; tiles of their own come later."""
    monkeypatch.setattr(native, "_routines", {})
    monkeypatch.setattr(plan, "_pending", {})
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)

    def function(x, w, b):
        return np.maximum(np.matmul(x, w) + b, 0.0) * 2.0

    first = Compiled(function)
    for _ in range(4):
        first(matrix(300, 200), matrix(200, 60), matrix(1, 60)[0])
    monkeypatch.setattr(compiling, "COMPILE_AFTER", 1e9)
    second = Compiled(function)
    arguments = matrix(300, 200), matrix(200, 50), matrix(1, 50)[0]
    for _ in range(3):
        found = second(*arguments)
    (made,) = second._local.plans.values()
    assert "kernel(" in made.source
    assert made.pending is not None
    assert made.threads is None
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    same_bits(second(*arguments), found)
    (made,) = second._local.plans.values()
    assert made.pending is None
    assert made.threads == threads


@needs_core
@needs_openblas
def test_other_threads_have_a_plan_of_their_own(threads, monkeypatch):
    monkeypatch.undo()  # so that the number of threads is asked for again
    monkeypatch.setattr(gemm, "_is_supported_processor", lambda: True)
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    set_threads = openblas.exported(openblas.library(), "scipy_openblas_set_num_threads")
    before = openblas.size()
    a, b, compiled = matrix(300, 1000), matrix(1000, 100), Compiled(np.matmul)
    try:
        for now in (threads, threads, threads, 1, 2, 3, threads):
            set_threads(now)
            same_bits(compiled(a, b), np.matmul(a, b))
        (made,) = compiled._local.plans.values()
        assert made.threads == threads
    finally:
        set_threads(before)


def test_other_products_are_left_to_one_call(monkeypatch):
    monkeypatch.setattr(gemm, "_is_supported_processor", lambda: True)
    monkeypatch.setattr(team, "size", lambda: 1)
    monkeypatch.setattr(summation_order, "find_order", lambda *form: summation_order.Order(448, 1, to_zero=True))
    a, b, into = matrix(300, 200), matrix(200, 90), np.zeros((300, 90), dtype="float32")
    assert gemm.tiled_call(*map(Location.of, (a, b, into))) is not None
    assert gemm.tiled_call(*(Location.of(each.astype("float64")) for each in (a, b, into))) is None
    assert gemm.tiled_call(Location.of(a[:20]), Location.of(b), Location.of(into[:20])) is None  # small
    with monkeypatch.context() as patch:
        patch.setattr(team, "size", lambda: gemm.MAX_THREADS + 1)
        assert gemm.tiled_call(*map(Location.of, (a, b, into))) is None
    with monkeypatch.context() as patch:
        patch.setattr(summation_order, "find_order", lambda *form: None)
        assert gemm.tiled_call(*map(Location.of, (a, b, into))) is None
    monkeypatch.setattr(gemm, "_is_supported_processor", lambda: False)
    assert gemm.tiled_call(*map(Location.of, (a, b, into))) is None


@pytest.mark.parametrize(
    ("core", "intel", "uses_mkl", "measured"),
    [
        ("SkylakeX", False, False, True),
        ("SkylakeX", True, False, False),
        ("SkylakeX", False, True, False),
        ("Haswell", False, False, False),
        ("", False, False, False),
    ],
)
def test_where_it_was_not_measured_it_is_left_alone(monkeypatch, core, intel, uses_mkl, measured):
    monkeypatch.setattr(mkl, "available", lambda: uses_mkl)
    monkeypatch.setattr(openblas, "core", lambda: core)
    monkeypatch.setattr(gemm, "is_intel", lambda: intel)
    assert gemm._is_supported_processor.__wrapped__() is measured


@needs_core
def test_tiles_that_llvm_does_not_read_keep_no_kernel_from_being_compiled(threads, monkeypatch):
    monkeypatch.setattr(native, "_routines", {})
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    monkeypatch.setattr(gemm, "_llvm_accepts_tiles", gemm._llvm_accepts_tiles.__wrapped__)
    assert gemm._llvm_accepts_tiles()
    tile = microkernel.tile(1, microkernel.HALF, False)
    other = replace(tile, declared=(*tile.declared, "declare void @llvm.fma.v8f32(i64)"))
    monkeypatch.setattr(macrokernel, "tile", lambda *given: other)
    monkeypatch.setattr(native, "_routines", {})
    compiled = Compiled(lambda x, w: np.maximum(np.matmul(x, w) + 1.0, 0.0) * 2.0)
    a, b = matrix(300, 200), matrix(200, 90)
    for _ in range(4):
        same_bits(compiled(a, b), np.maximum(np.matmul(a, b) + 1.0, 0.0) * 2.0)
    (made,) = compiled._local.plans.values()
    assert "kernel(" in made.source
    assert (made.pending, made.threads, made.kernel_error) == (None, None, "")


def test_an_order_is_one_of_numpys_or_none(monkeypatch):
    found = summation_order.find_order.__wrapped__
    monkeypatch.setattr(
        summation_order, "multiply_in_order", lambda a, b, order: np.ones((len(a), b.shape[1]), dtype="float32")
    )
    assert found(100, 300, 64, False, False, 2) is None


@pytest.mark.parametrize(
    "given",
    {given: None for block in summation_order.BLOCKS for given in summation_order.candidate_orders(block)},
    ids=str,
)
def test_an_order_adds_all_terms(given):
    a, b = matrix(20, 1000), matrix(1000, 30)
    exact = a.astype("float64") @ b.astype("float64")
    bound = 1000 * np.finfo("float32").eps * (np.abs(a).astype("float64") @ np.abs(b).astype("float64"))
    assert np.all(np.abs(summation_order.multiply_in_order(a, b, given) - exact) <= bound)


@pytest.mark.parametrize("terms", [1, 447, 448, 449, 511, 512, 513, 895, 896, 897, 1023, 1024, 1025, 60_000])
@pytest.mark.parametrize(
    "given",
    [given for block in summation_order.BLOCKS for given in summation_order.candidate_orders(block)[:2]],
    ids=str,
)
def test_the_ends_of_sums_cover_all_terms(terms, given):
    ends = summation_order.partial_sum_ends(terms, given)
    assert (ends[0], ends[-1]) == (0, terms)
    assert all(0 < end - begin <= given.block for begin, end in pairwise(ends))


@needs_core
@needs_openblas
def test_the_block_is_that_of_numpys_release():
    assert summation_order._block_size() == (448 if np.lib.NumpyVersion(np.__version__) < "2.5.0" else 512)


@pytest.mark.parametrize(
    ("block", "known"),
    [*zip(summation_order.BLOCKS, summation_order.BLOCKS, strict=True), (384, summation_order.BLOCKS[0])],
)
def test_the_block_is_found_by_trying(block, known, monkeypatch):
    def dot(a, b):
        i, j = summation_order._sample_indices(len(a)), summation_order._sample_indices(b.shape[1])
        product = np.zeros((len(a), b.shape[1]), dtype="float32")
        product[np.ix_(i, j)] = summation_order.multiply_in_order(
            a[i], b[:, j], summation_order.Order(block, 1, to_zero=True)
        )
        return product

    monkeypatch.setattr(np, "dot", dot)
    assert summation_order._block_size.__wrapped__() == known


@pytest.mark.parametrize("block", summation_order.BLOCKS)
@pytest.mark.parametrize(
    "form", [(20, 1_000_000, 32), (60_000, 784, 64), (2, 3, 100_000_000), (4096, 4096, 4096), (300, 200, 90)], ids=str
)
def test_a_large_product_is_tried_by_a_smaller_one(form, block):
    less = summation_order._smaller_shape(*form, block)
    assert np.prod(less, dtype=object) >= min(summation_order.MIN_PROBE, np.prod(form, dtype=object))
    assert np.prod(less, dtype=object) < 1 << 31
    for count, whole, unit in zip(less, form, (summation_order.UNIT, block, summation_order.UNIT), strict=True):
        assert count == whole or (count < whole and count % unit == whole % unit)


@needs_core
@needs_openblas
def test_a_networks_steps_keep_their_bits(threads, paired, monkeypatch):
    """The first steps are NumPy's own products, the later ones are compiled."""
    generator = np.random.default_rng(0)
    batches = [
        (generator.normal(size=(500, 600)).astype("float32"), generator.integers(10, size=500)) for _ in range(8)
    ]

    def trained(patience, tiles):
        monkeypatch.setattr(compiling, "COMPILE_AFTER", patience)
        monkeypatch.setattr(native, "_routines", {})
        monkeypatch.setattr(gemm, "_is_supported_processor", lambda: tiles)
        precision = "bfloat16" if paired else None
        layers = [xpnet.Dense(100), "relu", xpnet.Dense(10)]
        network = xpnet.Network(layers, precision=precision, inputs=600, seed=0)
        losses = [float(network.train_step(x, y)) for x, y in batches]
        packed = native.find_routine(("packing", False))
        assert (packed is not None and packed.is_compiled) == (tiles and paired)
        assert (native.find_routine("gemm" if threads == 1 else ("part", "gemm")) is not None) == tiles
        return losses, network.get_weights()

    losses, weights = trained(1e9, tiles=False)
    compiled_losses, compiled_weights = trained(-1.0, tiles=True)
    assert losses == compiled_losses
    for name, before in weights.items():
        same_bits(compiled_weights[name], before)

"""Single calls of a plan, each beside NumPy's own: loops, sums, copies, products and gathered rows."""

import array
from itertools import product

import numpy as np
import pytest
from test_on_numpy_kernels import draw
from test_on_numpy_native import needs_openblas, same_bits
from xpnet_backends.on_numpy import blas, fusing, gathering, native, openblas, ufunc_loops
from xpnet_backends.on_numpy.native import Location, Program
from xpnet_backends.on_numpy.strides import merged_axes

pytest.importorskip("llvmlite")


def perform(*calls):
    """Run calls whose places are all known; return what the first that fails returns."""
    program = Program(calls, array.array("q", [0]))
    return native.program_runner()(program.address, 1, 0)


def done(calls, into, wanted):
    """Run calls, if all could be made, and hold what they write to NumPy's bits; say whether they could."""
    if None in calls:
        return False
    assert perform(*calls) == 0
    same_bits(into, wanted)
    return True


SHAPES = [(1,), (7,), (300,), (5, 4), (1, 6), (6, 1), (3, 4, 5), (0, 3)]


@pytest.mark.parametrize("name", "add subtract multiply divide maximum minimum greater less_equal equal power".split())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ufuncs_of_two_arrays(name, dtype):
    function, called = getattr(np, name), 0
    for shape in SHAPES:
        a = draw(*shape, dtype=dtype)
        for b in (a[::-1].copy(), a[..., :1], a[:1], np.asarray(1.5, dtype=dtype), np.asfortranarray(a)):
            wanted = function(a, b)
            into = np.empty_like(wanted, order="C")
            called += done(
                ufunc_loops.ufunc_calls(function, [Location.of(a), Location.of(b)], Location.of(into)), into, wanted
            )
    assert called >= 30


@pytest.mark.parametrize("name", "exp log expm1 tanh sqrt negative absolute sin log1p isfinite floor arccos".split())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ufuncs_of_one_array(name, dtype):
    function = getattr(np, name)
    for shape in SHAPES:
        for a in (draw(*shape, dtype=dtype), draw(*shape[::-1], dtype=dtype).T):
            wanted = function(a)
            into = np.empty(wanted.shape, dtype=wanted.dtype)
            called = done(ufunc_loops.ufunc_calls(function, [Location.of(a)], Location.of(into)), into, wanted)
        assert called or a.ndim == 3


@pytest.mark.parametrize("first", fusing.TYPES, ids=str)
@pytest.mark.parametrize("second", fusing.TYPES, ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ufuncs_of_two_types(first, second):
    a, b = (draw(4, 5, dtype="float64") * 1e3).astype(first), draw(5, dtype="float64").astype(second)
    called = 0
    for function in (np.add, np.multiply, np.divide, np.equal, np.less, np.bitwise_and, np.maximum, np.copysign):
        try:
            wanted = function(a, b)
        except TypeError:
            continue
        into = np.empty_like(wanted)
        called += done(
            ufunc_loops.ufunc_calls(function, [Location.of(a), Location.of(b)], Location.of(into)), into, wanted
        )
    assert called >= 4


def test_what_no_loop_is_for_is_left_to_numpy():
    a, b, whole = draw(4, 4), draw(4, 4), np.arange(16).reshape(4, 4)
    into = np.empty((4, 4), dtype="float32")

    def call(function, *given, into=into):
        calls = ufunc_loops.ufunc_calls(function, [Location.of(one) for one in given], Location.of(into))
        return None if None in calls else calls

    assert call(np.add, a, b) is not None
    assert call(np.matmul, a, b) is None
    assert call(np.add, a, whole) is None  # which gives float64
    assert call(np.add, a, whole.astype("complex64")) is None
    assert call(np.add, whole.astype(object), whole.astype(object), into=np.empty((4, 4), dtype=object)) is None
    assert call(np.power, whole, -whole, into=np.empty((4, 4), dtype=whole.dtype)) is None
    assert call(np.frompyfunc(lambda x, y: x, 2, 1), a, b) is None
    assert call(np.add, a, whole.astype("M8[s]")) is None
    assert call(np.frexp, a) is None
    assert call(np.clip, a, a, b) is None
    assert call(np.tensordot, a, b) is None
    assert call(np.add, a.astype(">f4"), b) is None
    assert call(np.add, a.T, b, into=a) is None  # what it reads it would write over
    assert call(np.add, a, b, into=a) is not None
    assert ufunc_loops.ufunc_calls(np.add, [None, Location.of(a)], Location.of(into)) == [None]
    assert ufunc_loops.ufunc_calls(np.add, [Location.of(a), Location.of(b)], None) == [None]
    assert call(np.add, a, a[:1], into=a) is None
    assert call(np.add, a, a[:, :1], into=a) is None
    three = draw(3, 4, 5)[:, ::3, ::2]
    assert call(np.add, three, three, into=np.empty((3, 2, 3), "float32")) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_sums(axis, dtype):
    for shape in [(1, 1), (2, 3), (300, 7), (7, 300), (64, 64), (1, 9), (9, 1), (33, 1000), (20_000, 3), (0, 4)]:
        a = draw(*shape, dtype=dtype)
        for keepdims in (False, True):
            wanted = np.asarray(np.add.reduce(a, axis=axis, keepdims=keepdims))
            into = np.full(wanted.shape, np.nan, dtype=dtype)
            assert done(ufunc_loops.reduction_calls(np.add, Location.of(a), Location.of(into), axis), into, wanted)
    zeros = np.full((3, 5), -0.0, dtype=dtype)
    wanted = np.asarray(np.sum(zeros, axis=axis))
    into = np.empty_like(wanted)
    assert done(ufunc_loops.reduction_calls(np.add, Location.of(zeros), Location.of(into), axis), into, wanted)


@pytest.mark.parametrize("count", [1, 7, 8, 129, 8191, 8192, 8193, 100_000])
def test_a_vectors_sum(count):
    for dtype in ("float32", "float64"):
        a, into = draw(count, dtype=dtype), np.empty((), dtype=dtype)
        assert done(
            ufunc_loops.reduction_calls(np.add, Location.of(a), Location.of(into), None), into, np.asarray(np.sum(a))
        )


@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("count", [3, 9, 10, 64, 1000, 100_001])
def test_the_largest_of_all_numbers(count, kind):
    rng = np.random.default_rng(count)
    zeros = np.where(rng.random(count) > 0.5, 0.0, -0.0)
    holes = [None, *((place, sign) for place in (0, 1, count // 2, count - 1) for sign in (1.0, -1.0))]
    for a, hole in product((rng.normal(size=count) * 9.0, -np.abs(rng.normal(size=count)), zeros), holes):
        given = a.astype(kind)
        if hole is not None and given.dtype.kind == "f":
            given[hole[0]] = np.copysign(np.nan, hole[1])
        for shape, axis in (((1, count), -1), ((count, 1), 0), ((count,), None), ((1, count), None)):
            table = given.reshape(shape)
            wanted = np.asarray(np.maximum.reduce(table, axis=axis, keepdims=True))
            into = np.zeros(wanted.shape, dtype=kind)
            assert done(
                ufunc_loops.reduction_calls(np.maximum, Location.of(table), Location.of(into), axis), into, wanted
            )


def test_other_reductions_are_left_to_numpy():
    a, into = draw(4, 5), np.empty(5, dtype="float32")
    for few in (0, 1, 2):
        given, one = draw(1, few), np.empty((), dtype="float32")
        assert ufunc_loops.reduction_calls(np.maximum, Location.of(given), Location.of(one), None) == [None]
    assert ufunc_loops.reduction_calls(np.maximum, Location.of(a), Location.of(into), 0) == [None]
    assert ufunc_loops.reduction_calls(np.add, Location.of(np.asfortranarray(a)), Location.of(into), 0) == [None]
    assert ufunc_loops.reduction_calls(np.add, Location.of(np.ones((4, 5), "int32")), Location.of(into), 0) == [None]
    assert ufunc_loops.reduction_calls(np.add, None, Location.of(into), 0) == [None]
    assert None in ufunc_loops.reduction_calls(
        np.add, Location.of(draw(3, 4, 5)), Location.of(np.empty((3, 5), "float32")), 1
    )


@pytest.mark.parametrize("wanted", ["float32", "float64"])
@pytest.mark.parametrize("given", fusing.TYPES, ids=str)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_copies(given, wanted):
    for shape in SHAPES:
        plain = (draw(*shape, dtype="float64") * 1e3).astype(given)
        for a in (plain, np.asfortranarray(plain), plain[:1], plain[..., :1]):
            for kind in {wanted, given}:
                expected, into = np.empty(shape, dtype=kind), np.empty(shape, dtype=kind)
                np.copyto(expected, a, "unsafe")
                assert (
                    done([ufunc_loops.copy_call(Location.of(a), Location.of(into))], into, expected) or plain.ndim == 3
                )
    assert ufunc_loops.copy_call(Location.of(np.ones(3)), Location.of(np.ones(3, "int32"))) is None
    assert ufunc_loops.copy_call(Location.of(np.ones(3, "complex64")), Location.of(np.ones(3))) is None
    assert ufunc_loops.copy_call(None, Location.of(np.ones(3))) is None


@needs_openblas
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(dtype):
    called = 0
    for rows, terms, columns in np.ndindex(6, 6, 6):
        sizes = [(1, 2, 3, 10, 64, 301)[k] for k in (rows, terms, columns)]
        a, b = draw(sizes[0], sizes[1], dtype=dtype), draw(sizes[1], sizes[2], dtype=dtype) + 1
        for x, y in ((a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b)), (a.T.copy().T, b.T.copy().T)):
            into = np.empty((sizes[0], sizes[2]), dtype=dtype)
            called += done([blas.matmul_call(Location.of(x), Location.of(y), Location.of(into))], into, np.dot(x, y))
    assert called > 4 * 5 * 5 * 6
    assert blas.matmul_call(Location.of(a), Location.of(b.astype("int64")), Location.of(into)) is None
    assert blas.matmul_call(Location.of(a), None, Location.of(into)) is None


@needs_openblas
def test_a_library_that_is_not_what_it_seems_is_left_alone(monkeypatch):
    assert blas._numpy_blas.__wrapped__("f") is not None
    exported = openblas.exported
    monkeypatch.setattr(openblas, "exported", lambda library, name: exported(library, name.replace("gemv", "symv")))
    assert blas._numpy_blas.__wrapped__("f") is None
    monkeypatch.setattr(openblas, "library", lambda: None)
    assert blas._numpy_blas.__wrapped__("f") is None


def test_rows_are_gathered():
    data = draw(30, 3)
    for source, order in ((data, [4, 0, -1, -30, 29]), (data[:, 0].copy(), [2, 2]), (np.arange(9), [8, -9])):
        places = np.asarray(order)
        into = np.zeros(source[places].shape, dtype=source.dtype)
        assert perform(gathering.gather_call(Location.of(source), Location.of(places), Location.of(into), "")) == 0
        same_bits(into, source[places])
        for wrong in (len(source), -len(source) - 1, 2**40, -(2**62)):
            places[1] = wrong
            assert perform(gathering.gather_call(Location.of(source), Location.of(places), Location.of(into), "")) != 0


def test_axes_are_merged_where_memory_allows():
    table = np.zeros((4, 5, 6))
    assert merged_axes((4, 5, 6), table) == ((1, [0]), (120, [8]))
    assert merged_axes((4, 5, 3), table[..., ::2]) == ((1, [0]), (60, [16]))
    assert merged_axes((4, 5, 4), table[..., :4]) == ((20, [48]), (4, [8]))
    assert merged_axes((4, 2, 4), table[:, ::3, :4]) is None
    assert merged_axes((), table[0, 0, 0]) == ((1, [0]), (1, [0]))

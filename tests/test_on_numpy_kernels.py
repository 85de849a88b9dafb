"""Compiled passes of the NumPy backend: the numbers of NumPy's own operations, bit for bit."""

from types import SimpleNamespace

import numpy as np
import pytest
from pools import POOLS, used
from test_on_numpy import LAYERS, OPTIMIZERS, check_equal, plain_numpy, trained  # noqa: F401
from xpnet_backends.on_numpy import compiling, fusing, kernels, team, writer
from xpnet_backends.on_numpy.compiling import Compiled
from xpnet_backends.on_numpy.native import Location
from xpnet_backends.on_numpy.writer import Writer

import xpnet
from xpnet import Dense, Dropout, LayerNorm, Network

pytest.importorskip("llvmlite")


@pytest.fixture
def alone(monkeypatch):
    """Fuse whatever can be fused, at once, for one thread; give all kernels' sources, each of which has to compile."""
    monkeypatch.setattr(team, "size", lambda: 1)
    yield from fused_at_once(monkeypatch)


@pytest.fixture(params=["alone", *POOLS])
def made(request, monkeypatch):
    """The same for one thread, and for three of each pool that can be had."""
    if request.param == "alone":
        monkeypatch.setattr(team, "size", lambda: 1)
        yield from fused_at_once(monkeypatch)
        return
    monkeypatch.setattr(team, "min_shared_ns", lambda: -1)
    with used(request.param, 3, monkeypatch):
        yield from fused_at_once(monkeypatch)


def fused_at_once(monkeypatch):
    found, failures = [], []
    original, with_kernels = kernels.KernelSource.__init__, Compiled._compiled_plan

    def note(self, *arguments):
        original(self, *arguments)
        found.append(self)

    def watch(*arguments):
        plan = with_kernels(*arguments)
        failures.extend([plan.kernel_error] if plan.kernel_error else [])  # with which it would do without
        return plan

    monkeypatch.setattr(Compiled, "_compiled_plan", watch)
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    monkeypatch.setattr(fusing, "MIN_GAIN", -1e12)
    monkeypatch.setattr(kernels.KernelSource, "__init__", note)
    yield found
    assert not failures


def run_both(function, *arguments):
    """Call a function plainly and by a plan with kernels; return both results as lists."""
    compiled = Compiled(function)
    for _ in range(4):
        found = compiled(*arguments)
    (plan,) = compiled._local.plans.values()
    assert plan.pending is None
    assert not plan.kernel_error
    return found, function(*arguments)


def draw(*shape, dtype="float32"):
    stream = np.random.default_rng(sum(shape))
    return (stream.normal(size=shape) * 10.0 ** stream.integers(-3, 3, size=shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", LAYERS, ids=lambda layers: f"{len(layers)} layers")
def test_layers_are_fused_bit_for_bit(plain_numpy, made, layers, dtype):  # noqa: F811
    fused = trained("numpy", layers, xpnet.Adam(0.01), dtype)
    assert made
    check_equal(fused, trained(plain_numpy(dtype), layers, xpnet.Adam(0.01), dtype))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_optimizers_are_fused_bit_for_bit(plain_numpy, made, optimizer):  # noqa: F811
    layers = [Dense(7), "relu", Dropout(0.3), Dense(12), LayerNorm(), "sigmoid", Dense(3)]
    fused = trained("numpy", layers, optimizer, "float32")
    assert made
    check_equal(fused, trained(plain_numpy("float32"), layers, optimizer, "float32"))


@pytest.mark.parametrize("columns", [2, 3, 7, 8, 9, 10, 15, 16, 17, 64, 127, 128, 129, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_summed_in_numpys_order(made, columns, dtype):
    def normalized(z, b):
        z = z + b
        y = z - np.max(z, axis=-1, keepdims=True)
        total = np.sum(y, axis=-1, keepdims=True)
        y = y / total
        return y, total, np.sum(y, axis=0), np.sum(y * z, axis=-1), np.argmax(z, axis=1)

    found, wanted = run_both(normalized, draw(31, columns, dtype=dtype), draw(columns, dtype=dtype))
    assert made
    for array, plain in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array, plain)


VALUES = np.array([[0.0, -0.0, 1.0], [np.inf, -np.inf, np.nan], [1e-45, 3e38, -2.0]], dtype="float32")


def test_a_value_of_each_row_stands_for_columns_in_a_square_table(alone):
    def turned(z):
        z = z + 1.0
        return z - np.sum(z, axis=1), z * np.max(z, axis=1)

    found, wanted = run_both(turned, draw(12, 12))
    assert alone
    for array, plain in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array, plain)


def test_constants_that_print_alike_are_two(alone):
    close = [np.asarray(0.999999999), np.asarray(1.0)]
    long = [np.ones(1500), np.where(np.arange(1500) == 700, 2.0, 1.0)]

    def told_apart(z):
        z = z + 1.0
        return z * close[0] - z * close[1], z * long[0] - z * long[1]

    assert len({repr(constant) for constant in (*close, *long)}) == 2
    found, wanted = run_both(told_apart, draw(4, 1500, dtype="float64"))
    assert alone
    for array, plain in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array, plain)


@pytest.mark.parametrize("kind", ["int32", "int64", "uint32", "bool"])
@pytest.mark.parametrize("number", [0.5, -0.5, 1, True])
def test_integers_are_compared_with_the_number_that_was_given(alone, kind, number):
    x = np.arange(-2, 4).astype(kind).reshape(2, 3)

    def compared(x):
        y, z = x ^ x[:1], x ^ x[1:]
        return [np.where(function(y, number), y, z) for function in (np.less, np.less_equal, np.equal, np.greater)]

    found, wanted = run_both(compared, x)
    assert alone
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("function", [np.add, np.multiply, np.maximum, np.bitwise_xor], ids=lambda f: f.__name__)
def test_what_is_true_twice_counts_once(alone, function):
    x = draw(40, 5)
    found, wanted = run_both(lambda x: np.astype(function(x > -0.1, x < 0.1), np.float32) * x, x)
    assert alone
    np.testing.assert_array_equal(found, wanted)


OPERATIONS = [function for function in fusing.EXPRESSIONS if function is not np.right_shift]
"""All but the shift, which has its own test."""


@pytest.mark.parametrize("function", OPERATIONS, ids=lambda function: function.__name__)
@pytest.mark.filterwarnings("ignore:(divide|overflow|invalid|underflow):RuntimeWarning")
def test_each_operation_on_special_values(alone, function):
    kinds = ["uint32"] if function in (np.bitwise_and, np.bitwise_xor) else ["float32", "float64"]
    for kind in kinds:
        x = np.arange(9, dtype=kind).reshape(3, 3) if kind == "uint32" else VALUES.astype(kind)
        others = [np.roll(x, 1, axis=1), x[:1], x[:, :1]] if function.nin == 2 else [None]
        for other in others:

            def twice(x, y, function=function):
                first = function(x + x, y) if y is not None else function(x + x)
                return first, np.where(first > 0, x, y if y is not None else -x)

            found, wanted = run_both(twice, x, other)
            for array, plain in zip(found, wanted, strict=True):
                assert array.dtype == plain.dtype
                np.testing.assert_array_equal(array, plain)
    assert alone


@pytest.mark.parametrize("kind", ["uint32", "int32", "int64"])
@pytest.mark.parametrize("function", [np.right_shift, np.left_shift], ids=lambda function: function.__name__)
def test_shifts_by_any_count(alone, function, kind):
    """NumPy says what comes of a shift by the word's bits or more; a processor does not, so those stay NumPy's."""
    info = np.iinfo(kind)
    x = np.array([[0, 1, 5], [info.max, info.max // 3, 2**30], [info.min, info.min // 2, 7]], dtype=kind)
    whole = [*range(-1 if info.min else 0, 130), 2**31 - 1]
    counts = np.array(whole[: len(whole) // 3 * 3], dtype=kind).reshape(-1, 1, 3)

    def shifted(x, count):
        y = x ^ 1
        return function(y, count) ^ y

    for count in [*whole, np.asarray(3, dtype=kind), np.asarray(40, dtype=kind), *counts]:
        found, wanted = run_both(lambda x, count=count: shifted(x, count), x)
        np.testing.assert_array_equal(found, wanted, err_msg=f"constant {count}")
        found, wanted = run_both(shifted, x, np.asarray(count, dtype=kind))
        np.testing.assert_array_equal(found, wanted, err_msg=f"argument {count}")
    assert any(">>" in source.text for source in alone) == (function is np.right_shift)


@pytest.mark.filterwarnings("ignore:invalid:RuntimeWarning")
def test_the_first_of_the_largest_is_found_among_special_values(alone):
    x = np.array([[1, 2, 2], [np.nan, 3, 4], [1, np.nan, np.nan], [-np.inf] * 3, [5, np.inf, 1]], dtype="float32")
    found, wanted = run_both(lambda x: (np.argmax(x * 2.0, axis=-1), np.max(x * 2.0, axis=-1)), x)
    assert alone
    for array, plain in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array, plain)


@pytest.mark.filterwarnings("ignore:invalid:RuntimeWarning")
@pytest.mark.parametrize("factor", [2.0, None], ids=["made", "given"])
def test_one_maximum_serves_the_place_of_the_largest_too(factor, alone):
    """Where the pass makes the table; of one that is given, the place is looked for before the loop."""
    special = [[1, 2, 2], [np.nan, 3, 4], [1, np.nan, np.nan], [-np.inf] * 3, [5, np.inf, 1], [0.0, -0.0, 0.0]]
    x = np.array(special * 50, dtype="float32")

    def softened(x):
        y = x if factor is None else x * factor
        largest = np.max(y, axis=-1, keepdims=True)
        return np.argmax(y, axis=-1), y - largest, largest

    found, wanted = run_both(softened, x)
    assert {source.text.count("maximum(") for source in alone} == {1 if factor else 2}
    for array, plain in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(array, plain)


def random_program(seed, rows, columns):
    """Return a function (state, x, row values, column values, labels) -> (state, ...) of random operations."""

    def program(state, x, row, column, labels):
        stream = np.random.default_rng(seed)
        tables, rows_, columns_ = [state, x], [row], [column]
        for _ in range(14):
            a, b = (tables[stream.integers(len(tables))] for _ in range(2))
            r, c = rows_[stream.integers(len(rows_))], columns_[stream.integers(len(columns_))]
            kind = stream.integers(13)
            if kind == 0:
                tables.append(a + c)
            elif kind == 1:
                tables.append(a * r)
            elif kind == 2:
                tables.append(np.maximum(a - b, 0.25))
            elif kind == 3:
                rows_.append(np.sum(a, axis=-1, keepdims=True))
            elif kind == 4:
                rows_.append(np.max(a, axis=1, keepdims=True))
            elif kind == 5:
                columns_.append(np.sum(a, axis=0) * 0.01)
            elif kind == 6:
                tables.append(a - np.astype(labels[:, None] == np.arange(columns)[None, :], a.dtype))
            elif kind == 7:
                a = a + 1.0
                a *= 0.5
                a -= b
                tables.append(a)
            elif kind == 8:
                tables.append(np.tanh(a) @ np.eye(columns, dtype=a.dtype))
            elif kind == 9:
                a = np.tanh(b) @ np.eye(columns, dtype=b.dtype)
                tables.append((a - a[:, :1]) * 2.0 + 1.0)
            elif kind == 10:
                a = np.tanh(a)
                tables.append((a + (a[:1] if stream.integers(2) else a[0])) * 2.0)
            elif kind == 11:
                a = np.tanh(a)
                tables.append((a * a[:1, :1] - b) * 0.5)
            else:
                rows_.append(np.sqrt(np.abs(r) + 1.0) * 0.5)
        return np.tanh(tables[-1] + 0.1 * state), tables[-2], rows_[-1], columns_[-1]

    return program


def run_random_program(seed):
    """Hold a donated function of random operations to its plain form for some steps; return it compiled."""
    rows, columns = [(13, 3), (40, 10), (5, 24), (2, 2)][seed % 4]
    program = random_program(seed, rows, columns)
    x, row, column = draw(rows, columns), draw(rows, 1), draw(columns)
    labels = np.arange(rows) % columns
    compiled = Compiled(program, donated=True)
    state = plain = np.zeros((rows, columns), dtype="float32")
    for step in range(6):
        given = x * (1.0 + step), row, column, labels
        state, *found = compiled(state, *given)
        plain, *wanted = program(plain, *given)
        for array, expected in zip([state, *found], [plain, *wanted], strict=True):
            np.testing.assert_array_equal(array, expected)
    return compiled


@pytest.mark.parametrize("seed", range(24))
def test_random_programs_are_fused_bit_for_bit(alone, seed):
    run_random_program(seed)


@pytest.mark.parametrize("seed", range(24, 30))
def test_random_programs_are_shared_bit_for_bit(made, seed):
    run_random_program(seed)


@pytest.mark.parametrize("part", [np.s_[:, :1], np.s_[:1], np.s_[0], np.s_[:1, :1]], ids=str)
def test_an_operand_is_not_written_over_while_a_view_of_it_is_read(made, part):
    def program(x):
        z = np.tanh(x @ np.eye(24, dtype="float32"))
        return np.tanh((z * 0.5 + z[part]) * 2.0 + 1.0)

    found, wanted = run_both(program, draw(300, 24))
    assert made
    np.testing.assert_array_equal(found, wanted)


def test_an_update_of_few_parameters_is_one_pass_after_a_pass_over_a_larger_table(alone):
    network = Network([Dense(40), "relu", Dense(3)], optimizer="adam", seed=0)
    x, y = draw(100, 2), np.arange(100) % 3
    for _ in range(4):
        network.train_step(x, y)
    params = sum(value.size for value in network.get_weights().values())
    assert params < 40 * 100
    (update,) = {source.text for source in alone if source.rows == params}  # written twice: known code did not do
    assert update.count(" / ") == 1
    assert "sqrt" in update


def test_a_short_vector_does_not_cut_a_pass_over_a_table(monkeypatch):
    """As the running statistics of batch normalization, which stand between a bias and the activation."""
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    x, w, b, g = draw(3000, 5), draw(5, 70), draw(70), draw(70)

    def layer(x, w, b, g):
        y = np.matmul(x, w) + b
        scale = np.tanh(g) * 0.5 + 1.0
        return np.maximum(y * scale, 0.0) - 0.5

    compiled = Compiled(layer)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x, w, b, g), layer(x, w, b, g))
    (plan,) = compiled._local.plans.values()
    lines = [line.strip() for line in plan.source.splitlines()]
    assert not any(line.startswith("add(") and "x2" in line for line in lines)


@pytest.mark.parametrize(
    "constant",
    [draw(50, 80)[:, :40], np.broadcast_to(draw(50, 1), (50, 40)), draw(40, 50).T],
    ids="strided broadcast turned".split(),
)
def test_constant_tables_in_another_order_in_memory(alone, constant):
    def program(x):
        return (np.tanh(x) * constant + 1.0) * 2.0

    found, wanted = run_both(program, draw(50, 40))
    assert alone
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "program",
    [
        lambda x: np.sum(np.sum(np.tanh(x) * 2.0, axis=-1), axis=-1),
        lambda x: np.argmax(np.sum(np.tanh(x) * 2.0, axis=-1), axis=-1),
        lambda x: np.sum(np.max(np.tanh(x) * 2.0, axis=-1), axis=0) + 1.0,
    ],
    ids="sums argmax columns".split(),
)
def test_reductions_of_reductions(alone, program):
    found, wanted = run_both(program, draw(60, 7, 12))
    assert alone
    np.testing.assert_array_equal(found, wanted)


def test_the_words_of_a_mask_are_drawn_in_one_pass(alone):
    network = Network([Dense(40), "relu", Dropout(0.5), Dense(3)], seed=0)
    for _ in range(4):
        network.train_step(draw(100, 2), np.arange(100) % 3)
    assert any(source.text.count(">>") == 4 and source.flat for source in alone)


def test_a_constant_is_read_in_each_type_that_it_is_used_in(made):
    k = np.full((2, 4), 2**53 + 1)

    def function(x, y):
        y = y + 1
        return np.where(y > 3, x, k), np.where(y > 100, 0, y * k)

    for found, wanted in zip(*run_both(function, draw(2, 4, dtype="float64"), np.arange(8).reshape(2, 4)), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_condition_may_be_a_number(made):
    x, i = draw(20, 3), np.arange(60).reshape(20, 3).astype("int32")
    for function, given in (
        (lambda x: np.where(x, x * 2, x + 1), x * (x > 0)),
        (lambda i: np.where(0.5, i * 2, i + 1) * 3, i),
        (lambda i: np.where(i % 2, i * 2, i + 1) * 3, i),
    ):
        found, wanted = run_both(function, given)
        np.testing.assert_array_equal(found, wanted)


def test_two_largest_values_of_other_types_in_one_kernel(made):
    def function(x, y):
        return np.argmax(x * 2, axis=1) + np.argmax(y + 1, axis=1)

    found, wanted = run_both(function, draw(200, 5), draw(200, 5, dtype="float64"))
    np.testing.assert_array_equal(found, wanted)


def test_places_that_share_memory_are_not_said_to_lie_apart():
    memory, home = np.zeros(100, dtype="float32"), np.zeros(20, dtype="float32")
    owner = SimpleNamespace(donated_buffers=[home])

    def apart(*places, written=(0,)):
        return Writer._are_disjoint(owner, list(places), set(written))

    first, second, both = (Location.of(part) for part in (memory[:50], memory[50:], memory[40:60]))
    given = Location(home, 0, argument=1)
    assert apart(first, second)
    assert not apart(first, both)
    assert not apart(both, second)
    assert apart(first, second, both, written=())
    assert apart(Location.of(home), first, both)
    assert not apart(first, Location.of(home), both)
    assert apart(first, given)
    assert not apart(Location.of(home[5:]), given), "an argument may be what was given back"


def test_columns_are_summed_in_registers_where_a_tables_rows_are_short(made, monkeypatch):
    def function(x, y):
        slopes = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True) - y
        return slopes, np.sum(slopes, axis=0)

    told = []
    monkeypatch.setattr(writer, "kernel_call", lambda *given: told.append(given[-1]) or kernels.kernel_call(*given))
    compiled, x, y = Compiled(function), draw(300, 10) / 1e3, draw(300, 10)
    for _ in range(4):
        for found, expected in zip(compiled(x, y), function(x, y), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert any("[j] +=" in source.text for source in made)
    assert told
    assert all(told), "nothing that is written is read in another array"


def test_an_argument_may_lie_in_what_is_written(made, monkeypatch):
    told = []
    monkeypatch.setattr(writer, "kernel_call", lambda *given: told.append(given[-1]) or kernels.kernel_call(*given))
    compiled, p = Compiled(lambda p, x: p * 0.5 + np.sqrt(np.abs(x)) * 0.1 - x, donated=True), draw(300, 10)
    for _ in range(4):
        expected = p * 0.5 + np.sqrt(np.abs(p)) * 0.1 - p
        p = compiled(p, p)
        np.testing.assert_array_equal(p, expected)
    assert told
    assert not any(told)

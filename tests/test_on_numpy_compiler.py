"""The small language of compiled code: its arithmetic is NumPy's to the bit, and what is not in it is refused."""

import ctypes
import importlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from test_on_numpy_kernels import draw
from xpnet_backends.on_numpy import compiler, exponential
from xpnet_backends.on_numpy.compiler import (
    Assembly,
    Entry,
    NotCompilable,
    ParsedFunction,
    atomic_load,
    c_function,
    compare_exchange,
    exchange,
    float_of,
    fma,
    pause,
    pointer,
    sqrt,
)

pytest.importorskip("llvmlite")

KINDS = ("bool", "int32", "uint32", "int64", "float32", "float64")


def called(function, *arguments):
    """Compile a function of integers, which returns one, and call it."""
    (place,) = compiler.compile_functions(Entry(function, "l" * len(arguments)))
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))(place)(*arguments)


def filled(expression, wanted, **arrays):
    """Compute an expression of elements of arrays by a loop, and return the array, of the type that is wanted."""
    into = np.empty_like(wanted)
    names = [*arrays, "into"]
    lines = [f"def fill(count, {', '.join(f'{name}_at' for name in names)}):"]
    lines += [f"    {name} = at_{name}({name}_at)" for name in names]
    lines += ["    for i in range(count):", f"        into[i] = {expression}", "    return 0"]
    places = [*arrays.values(), into]
    scope = {f"at_{name}": pointer(array.dtype.name) for name, array in zip(names, places, strict=True)}
    scope |= {kind: getattr(np, kind) for kind in KINDS[1:]} | {"sqrt": sqrt, "fma": fma, "float_of": float_of}
    assert (
        called(ParsedFunction.of_text("\n".join(lines), scope), len(into), *(array.ctypes.data for array in places))
        == 0
    )
    return into


def numbers(kind):
    """Return numbers of a type with all its edges among them."""
    if kind == "bool":
        return np.resize([True, False, False], 64)
    if kind.startswith("float"):
        edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 1.0, -1.0, np.finfo(kind).max]
        return np.concatenate([np.asarray(edges, dtype=kind), draw(55, dtype=kind)])
    limits = np.iinfo(kind)
    drawn = np.random.default_rng(0).integers(limits.min, limits.max, size=59, dtype=kind)
    return np.concatenate([np.asarray([0, 1, limits.min, limits.max, 33], dtype=kind), drawn])


def pairs(kinds):
    """Return two arrays in which each number of the one meets each of the other."""
    a, b = (numbers(kind) for kind in kinds)
    return np.repeat(a, len(b)), np.tile(b, len(a))


OPERATORS = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.bitwise_xor, "&": np.bitwise_and,
    "|": np.bitwise_or, ">>": np.right_shift, "<": np.less, "<=": np.less_equal, ">": np.greater,
    ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip


def takes(function, *kinds):
    """Say whether NumPy has a function for these types, in one that the language has."""
    try:
        found = function.resolve_dtypes((*map(np.dtype, kinds), None))
    except TypeError:
        return False
    return all(kind.name in KINDS for kind in found)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kinds", [(a, b) for a in KINDS for b in KINDS], ids="-".join)
def test_operators_have_numpys_bits(kinds):
    a, b = pairs(kinds)
    tried = 0
    for operator, function in OPERATORS.items():
        if not takes(function, *kinds):
            continue
        wanted = function(a, b)
        kind = "bool_" if wanted.dtype == bool else wanted.dtype.name
        expression = f"a[i] {operator} b[i]" if kind == "bool_" else f"{kind}(a[i] {operator} b[i])"
        if "bool" in kinds:
            expression = expression.replace("a[i]", "(a[i] != 0)" if kinds[0] == "bool" else "a[i]")
            expression = expression.replace("b[i]", "(b[i] != 0)" if kinds[1] == "bool" else "b[i]")
        if kinds == ("bool", "bool") and operator in ("+", "*"):
            expression = f"bool({expression})"
        np.testing.assert_array_equal(filled(expression, wanted, a=a, b=b), wanted, err_msg=operator)
        tried += 1
    assert tried >= 7


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_quotients_of_integers_are_rounded_down(kind):
    a = np.repeat(np.arange(-20, 21), 41).astype(kind)
    b = np.tile(np.where(np.arange(-20, 21) == 0, 7, np.arange(-20, 21)), 41).astype(kind)
    np.testing.assert_array_equal(filled("a[i] // b[i]", a, a=a, b=b), a // b)
    np.testing.assert_array_equal(filled("a[i] % b[i]", a, a=a, b=b), a % b)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("wanted", KINDS[1:])
@pytest.mark.parametrize("given", KINDS)
def test_numbers_are_converted_as_numpy_does(given, wanted):
    a = numbers(given)
    if given.startswith("float") and not wanted.startswith("float"):
        a = np.asarray([0.0, -0.0, 1.5, 2.75, 1e6], dtype=given)  # beyond its range C says nothing of an integer
        a = a if wanted == "uint32" else np.concatenate([a, -a])
    read = "(a[i] != 0)" if given == "bool" else "a[i]"
    np.testing.assert_array_equal(filled(f"{wanted}({read})", a.astype(wanted), a=a), a.astype(wanted))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_functions_of_one_number(kind):
    a = numbers(kind)
    for expression, wanted in (("abs(a[i])", np.abs(a)), ("sqrt(a[i])", np.sqrt(a)), ("-a[i]", -a)):
        found = filled(expression, wanted, a=a)
        np.testing.assert_array_equal(found, wanted)
        there = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[there], np.signbit(wanted)[there])
    whole = numbers("int32")
    np.testing.assert_array_equal(filled("sqrt(a[i])", np.sqrt(whole), a=whole), np.sqrt(whole))
    np.testing.assert_array_equal(filled("abs(a[i])", np.abs(whole), a=whole), np.abs(whole))
    np.testing.assert_array_equal(filled("-a[i]", -whole, a=whole), -whole)


@pytest.mark.parametrize("kind", ["float32", "int32", "uint32"])
def test_literals_take_the_type_of_the_number_beside_them(kind):
    a = numbers(kind)
    with np.errstate(all="ignore"):
        for expression in ("a * 3", "7 - a", "a + 1"):
            wanted = eval(expression)
            assert wanted.dtype == kind
            np.testing.assert_array_equal(filled(expression.replace("a", "a[i]"), wanted, a=a), wanted)
        halves = a * 0.5
        np.testing.assert_array_equal(filled("a[i] * 0.5", halves, a=a), halves)


def test_a_product_and_a_sum_are_rounded_one_after_the_other():
    a, b, c = draw(3, 1000)
    np.testing.assert_array_equal(filled("a[i] * b[i] + c[i]", a, a=a, b=b, c=c), a * b + c)
    wide = (a.astype("float64") * b + c).astype("float32")
    fused = filled("fma(a[i], b[i], c[i])", a, a=a, b=b, c=c)
    np.testing.assert_array_equal(fused, wide)
    assert not np.array_equal(fused, a * b + c)


def test_truth():
    a, b = np.resize([0, 1, 2], 12), np.resize([0, 0, 1, 5], 12)
    for expression, wanted in (
        ("1 if a[i] and b[i] else 0", (a != 0) & (b != 0)),
        ("1 if a[i] or b[i] == 5 else 0", (a != 0) | (b == 5)),
        ("0 if not a[i] else 1", a != 0),
    ):
        np.testing.assert_array_equal(filled(expression, a, a=a, b=b), wanted)


def test_unsigned_numbers_keep_their_upper_half():
    a = numbers("uint32")
    np.testing.assert_array_equal(filled("a[i] >> 3", a, a=a), a >> 3)
    large = np.asarray([3e9, 2.0**32 - 1, 0.0])
    np.testing.assert_array_equal(filled("uint32(a[i])", large.astype("uint32"), a=large), large.astype("uint32"))


def test_a_literal_keeps_its_sign():
    a = np.ones(3, "float32")
    assert np.signbit(filled("a[i] * -0.0", a, a=a)).all()


def test_truth_values_lie_in_memory_as_bytes():
    a, true = np.resize([True, False], 20), np.ones(20, bool)
    np.testing.assert_array_equal(filled("1 if a[i] else 0", np.zeros(20, int), a=a), a)
    np.testing.assert_array_equal(filled("a[i] != 0", a, a=a), a)
    np.testing.assert_array_equal(filled("not (a[i] == 2)", true, a=a).view("uint8"), true.view("uint8"))


def test_a_function_is_compiled_for_each_types_of_its_arguments():
    def twice(x):
        return x + x

    a = np.asarray([1.5, 2.5])
    into = np.empty(2)
    at = pointer("float64")

    def both(given, found):
        at(found)[0] = twice(at(given)[0])
        return twice(np.int64(at(given)[1]))

    assert called(both, a.ctypes.data, into.ctypes.data) == 4
    assert into[0] == 3.0


def test_floats_by_their_bits():
    a = draw(100)
    np.testing.assert_array_equal(filled("float_of(a[i])", a, a=a.view("int32")), a)


# Statements


def collatz(number, most):
    steps = 0
    for _ in range(most):
        if number == 1:
            steps += 0
        elif number % 2 == 0:
            number, steps = number // 2, steps + 1
        else:
            number, steps = 3 * number + 1, steps + 1
    return steps


def divisor(number):
    for i in range(2, number):
        if number % i == 0:
            return i
    return number


def fibonacci(count):
    a, b = 0, 1
    for _ in range(count):
        a, b = b, a + b
    return a


def by_itself(count):
    if count < 2:
        return count
    return by_itself(count - 1) + by_itself(count - 2)


def triangles(start, stop):
    total = 0
    for i in range(start, stop, 3):
        for j in range(i):
            total += j
    return total


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (collatz, (27, 1000)),
        (divisor, (91,)),
        (divisor, (97,)),
        (fibonacci, (50,)),
        (by_itself, (15,)),
        (triangles, (2, 30)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_statements_do_as_python(function, arguments):
    assert called(function, *arguments) == function(*arguments)


def test_what_stands_around_a_function_is_known_in_it():
    inner, factor = triangles, np.int64(7)

    def outer(start, stop):
        return inner(start, stop) * factor + STANDING

    assert called(outer, 2, 30) == outer(2, 30)


STANDING = 1000


def test_c_functions_are_called():
    seen = []

    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32, ctypes.c_double, ctypes.c_void_p)
    def note(number, real, place):
        seen.append((number, real, place))
        return -number

    place, call = compiler.address(note), c_function("i", "i", "d", "p")

    def calling(first, second):
        return np.int64(call(place, first, 0.5, second)) + 1

    assert called(calling, 41, 4096) == -40
    assert seen == [(41, 0.5, 4096)]


def test_functions_in_llvms_own_language_are_called():
    text = "(ptr %p, i64 %n) {\n  %q = call i64 @llvm.abs.i64(i64 %n, i1 false)\n  store i64 %q, ptr %p\n  ret void\n}"
    absolute, at = Assembly("absolute", text, ("declare i64 @llvm.abs.i64(i64, i1)",)), pointer("int64")

    def put(place, number):
        absolute(at(place), number)
        absolute(at(place + 8), number - 9)
        return 7

    found = np.zeros(2, dtype="int64")
    assert called(put, found.ctypes.data, 4) == 7
    assert found.tolist() == [4, 5]
    (place,) = compiler.compile_functions(Entry(absolute, "ll"))
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(place)(found.ctypes.data, -3)
    assert found.tolist() == [3, 5]


def test_several_functions_are_compiled_at_once():
    places = compiler.compile_functions(*[Entry(fibonacci, "l"), Entry(triangles, "ll"), Entry(fibonacci, "l")])
    assert [ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(place)(20) for place in places[::2]] == [6765, 6765]
    assert ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(places[1])(2, 30) == triangles(2, 30)


def test_exp_is_in_the_language():
    x = np.linspace(-5, 5, 100, dtype="float32")
    np.testing.assert_allclose(exponential.filled(x), np.exp(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("while n: n -= 1", "while n"),
        ("return m", "nothing is known of m"),
        ("return n if 0 < n < 5 else 0", "0 < n < 5"),
        ("x = n; x = 0.5 * n; return 0", "x holds int64, and is given float64"),
        ("return at(n)", "a pointer is no number"),
        ("return at(n) + 1", "a pointer is no number"),
        ("return n[0]", "n is no pointer"),
        ("return 0; n = 1", "line 2 is never reached"),
        ("for i in n: n = i", "a loop goes over a range"),
        ("for i in range(n): n = i\n    else: n = 0", "a loop goes over a range"),
        ("return [n]", r"\[n\]"),
        ("return abs(x=n)", "abs"),
        ("return print(n)", "nothing is known of print"),
        ("return word", "'text' is no number"),
        ("return word(n)", "word"),
        ("return n ** 2", "Pow of numbers of type int64"),
        ("return 0.5 * n // 2", "FloorDiv of numbers of type float64"),
        ("return 2 / 3", "Div of two literals"),
        ("n.x = 1", "nothing can be assigned to n.x"),
        ("return", "what is returned is a number"),
        ("if n: return 1", "may end without a return"),
        ("return n if n else 2.5; n", "line 2 is never reached"),
        ("x = n; x = 2.5; return x", "2.5 is no int64"),
        ("return np.int32(n) + 2 ** 0 + 2**40", "Pow of two literals"),
        ("return np.int32(n) < 1099511627776", "1099511627776 is no int32"),
        ("return at(n)[0.5 * n]", "an index is of type float64"),
        ("for i in range(0.5 * n): n = i\n    return 0", "an index is of type float64"),
        ("return n is 0", "the comparison Is"),
    ],
)
def test_what_is_not_in_the_language_is_refused(line, told):
    text = f"def refused(n):\n    {line}\n"
    with pytest.raises(NotCompilable, match=told):
        compiler.compile_functions(
            Entry(ParsedFunction.of_text(text, {"at": pointer("int64"), "word": "text", "np": np}), "l")
        )


@pytest.mark.parametrize("head", ["a, b", "*a", "a=1, *, b", "a, **b"])
def test_functions_take_plain_arguments(head):
    with pytest.raises(NotCompilable, match="no function of 1 arguments"):
        compiler.compile_functions(Entry(ParsedFunction.of_text(f"def refused({head}):\n    return 0", {}), "l"))


def test_a_value_is_computed_once_for_all_that_it_is_given_to():
    seen = []

    @ctypes.CFUNCTYPE(ctypes.c_int64)
    def count():
        seen.append(1)
        return 5

    place, call = compiler.address(count), c_function("l")

    def twice_given(n):
        a = b = call(place)
        return a + b + n

    assert called(twice_given, 1) == 11
    assert len(seen) == 1


def test_a_variable_without_a_value_is_zero():
    def never(n):
        for i in range(n):
            last = i
        return last

    assert called(never, 0) == 0
    assert called(never, 5) == 4


LESSER = "def lesser(a, b):\n    return a if a < b else b\n"


@pytest.mark.parametrize(
    "now", [LESSER.replace("<", ">"), LESSER.replace("b\n", "0\n"), f"\n{LESSER}", "", "def lesser("]
)
def test_a_source_that_has_changed_since_its_import_is_refused(now, tmp_path, monkeypatch):
    path = tmp_path / f"changing_{abs(hash(now))}.py"
    path.write_text(LESSER)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(path.stem)
    path.write_text(now)
    with pytest.raises(NotCompilable, match=r"has changed|is not there"):
        called(module.lesser, 3, 5)
    del sys.modules[path.stem]


def test_closures_are_known_by_their_source():
    factor = np.int64(3)

    def times(n):
        """Three times."""
        return n * factor

    assert called(times, 4) == 12


NOT_EXECUTABLE = """
import ctypes, sys
import numpy as np
from xpnet_backends.on_numpy import compiling
from xpnet_backends.on_numpy.compiler import llvm
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit("no such call")
compiling.COMPILE_AFTER = -1.0
x = np.random.default_rng(0).normal(size=(500, 100))
for _ in range(2):
    compiled = compiling.Compiled(lambda x: np.maximum(x * 2.0 + 1.0, 0.0) - 0.25)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x), np.maximum(x * 2.0 + 1.0, 0.0) - 0.25)
print(len(llvm._problems), llvm.available())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_MDWE is Linux's")
def test_where_no_memory_may_become_executable_plans_do_without():
    run = subprocess.run([sys.executable, "-c", NOT_EXECUTABLE], capture_output=True, text=True, check=False)
    if "no such call" in run.stderr:
        pytest.skip("this Linux does not know PR_SET_MDWE")
    assert (run.returncode, run.stdout) == (0, "1 False\n"), run.stderr


def test_other_pythons_do_without_compiled_code(monkeypatch):
    assert compiler.llvm.available()
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    assert not compiler.llvm.available()


def test_what_is_called_from_outside_returns_an_integer():
    with pytest.raises(NotCompilable, match="returns float32"):
        compiler.compile_functions(Entry(exponential.exp, "f"))


def test_a_function_without_a_source_is_refused():
    scope = {}
    exec("def nowhere(n):\n    return n", scope)
    with pytest.raises(NotCompilable, match="the source of nowhere is not there"):
        called(scope["nowhere"], 1)


def test_a_word_is_exchanged():
    word = np.asarray([5])

    def swap(place, expected, new):
        before = exchange(place, atomic_load(place) + 1)
        pause()
        return 100 * before + compare_exchange(place, expected, new)

    assert called(swap, word.ctypes.data, 6, 9) == 506
    assert word[0] == 9
    assert called(swap, word.ctypes.data, 6, 9) == 910
    assert word[0] == 10


def test_threads_lose_nothing_that_each_adds():
    word, turns, forever = np.zeros(1, np.int64), 200_000, 1 << 40

    def one_more(place):
        for _ in range(forever):
            now = atomic_load(place)
            if compare_exchange(place, now, now + 1) == now:
                return 0
        return 1

    def add(place, turns):
        for _ in range(turns):
            one_more(place)
        return 0

    (place,) = compiler.compile_functions(Entry(add, "ll"))
    work = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(place)
    threads = [threading.Thread(target=work, args=(word.ctypes.data, turns)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert word[0] == 4 * turns


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_a_pause_is_the_processors_own_or_nothing(machine, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)

    def wait(turns):
        for _ in range(turns):
            pause()
        return turns

    text, _ = compiler._text([Entry(wait, "l")])
    assert ("pause()" in text, "hint(i32 1)" in text) == (machine == "x86_64", machine == "aarch64")
    assert compiler.accepted_by_llvm(Entry(wait, "l"))


SHIFT = """
def shift(given, into, sums, rows):
    for i in range(rows):
        a, r, s = at(given + 40 * i), at(into + 40 * i), at(sums)
        for j in range(10):
            r[j] = a[j] / float32(3.0)
        for j in range(10):
            s[j] += a[j] - r[j]
    return 0
"""


def test_pointers_that_lie_apart_give_the_same_numbers_in_vectors():
    """LLVM keeps sums in registers, and makes vectors of short rows, only where it knows that they do."""
    scope = {"at": pointer("float32"), "float32": np.float32}
    a = draw(6, 10, dtype="float32")
    found = []
    for apart in ((), ("a", "r", "s")):
        written = ParsedFunction.of_text(SHIFT, scope, apart)
        text = compiler._text([Entry(written, "llll")])[0]
        assert text.count("!noalias") == (6 if apart else 0), "each of four reads and two writes"
        r, s = np.zeros_like(a), np.zeros(10, dtype="float32")
        assert called(written, a.ctypes.data, r.ctypes.data, s.ctypes.data, len(a)) == 0
        found.append((r, s))
    for array, other in zip(*found, strict=True):
        np.testing.assert_array_equal(array, other)
    np.testing.assert_array_equal(found[0][0], a / np.float32(3.0))

"""What errors say of data that do not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import ConfigurationError, DataError, Dense, Network, ShapeError
from xpnet.remedies import not_finite_message, real_remedy, weight_remedy, x_remedy

X = np.random.default_rng(0).normal(size=(12, 4))
LABELS = np.arange(12) % 3
IMAGES = np.ones((12, 8, 8))


def network(backend: xpnet.Backend, outputs: int = 3, **arguments: Any) -> Network:
    return Network([Dense(outputs)], backend=backend, **arguments)


# Not finite


def test_each_kind_is_counted_and_the_first_is_shown() -> None:
    x = np.zeros((5, 3))
    x[1, 2] = x[4, 0] = np.inf
    x[2] = np.nan
    x[3, 1] = -1e39
    said = not_finite_message(x, "x", (1, 2), "float32", None)
    assert said.startswith(
        "x holds NaN and +inf and numbers beyond float32: the first is x[1, 2] = inf (3 NaN and 2 +inf and 1 numbers "
        "beyond float32 of 15 values, in 4 of 5 rows); "
    )


def test_rows_of_any_rank_are_counted() -> None:
    images = np.zeros((3, 2, 2))
    images[0, 1] = images[2] = np.nan
    assert "(6 of 12 values, in 2 of 3 rows)" in not_finite_message(images, "x", (0, 1, 0), "float64", None)


def test_a_mapped_array_is_not_read_to_its_end(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((3, 2), np.nan))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert not_finite_message(mapped, "x", (0, 1), "float32", "fix it") == (
        "x holds NaN: the first is x[0, 1] = nan; fix it"
    )


def test_what_float32_cannot_hold_float64_can(backend32: xpnet.Backend, backend: xpnet.Backend) -> None:
    x = X.copy()
    x[3, 1] = 1e300
    with pytest.raises(DataError, match=r"beyond float32: the first is x\[3, 1\] = 1e\+300 .*dtype='float64'"):
        network(backend32).fit(x, LABELS, verbose=0)
    network(backend, inputs=4).forward(x)
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        assert "float64'" not in not_finite_message(np.full(1, np.longdouble("1e400")), "x", (0,), "float64", None)


def test_filling_by_the_mean_mends_x_as_the_message_says(backend: xpnet.Backend) -> None:
    x = X.copy()
    x[3, 1] = np.nan
    with pytest.raises(DataError) as caught:
        network(backend).fit(x, LABELS, verbose=0)
    code = str(caught.value).partition("such as by ")[2].partition(". Network")[0]
    network(backend).fit(eval(code, {"np": np, "x": x}), LABELS, verbose=0)


# Shapes


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("labels", [LABELS, LABELS.astype(float), LABELS.tolist()], ids=["int", "float", "list"])
def test_x_and_y_that_look_swapped(built: bool, labels: Any, backend: xpnet.Backend) -> None:
    net = network(backend, **({"inputs": 4} if built else {}))
    with pytest.raises(ShapeError, match=r"x has shape \(12,\) and y has shape \(12, 4\): they look swapped"):
        net.fit(labels, X, verbose=0)
    assert net.built == built


def test_swapped_rows_of_both(backend: xpnet.Backend) -> None:
    with pytest.raises(ShapeError, match=r"x has shape \(12, 3\) and y has shape \(12, 4\): they look swapped"):
        network(backend, inputs=4).fit(np.eye(3)[LABELS], backend.asarray(X), verbose=0)


@pytest.mark.parametrize("y", [LABELS, X, [1, [2]], None], ids=["labels", "rows", "ragged", "none"])
def test_a_flat_x_of_real_numbers_lacks_an_axis(y: Any, backend: xpnet.Backend) -> None:
    for x in (X[:, 0], backend.asarray(X[:, 0])):
        with pytest.raises(
            ShapeError, match=r"x must have shape \(N, features\); got \(12,\): .*x\[:, None\].*x\[None, :\]"
        ):
            network(backend).train_step(x, y)


def test_what_needs_no_axis_takes_a_flat_x(backend: xpnet.Backend) -> None:
    net = Network(["flatten", Dense(3)], backend=backend)
    net.fit(X[:, 0], LABELS, verbose=0)
    assert net.in_shape == ()


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "hinge", "mse"])
def test_images_need_flatten(loss: str, backend: xpnet.Backend) -> None:
    outputs = 3 if loss in ("cross_entropy", "hinge") else 1
    y = LABELS if outputs == 3 else LABELS % 2
    with pytest.raises((ConfigurationError, ShapeError), match=r"\(N, 8, 1\)|\(8, [13]\)") as caught:
        network(backend, outputs, loss=loss).fit(IMAGES, y, verbose=0)
    assert "Dense acts on the last axis alone: put Flatten() before it" in str(caught.value)
    Network(["flatten", Dense(outputs)], loss=loss, backend=backend).fit(IMAGES, y, verbose=0)


@pytest.mark.parametrize(
    ("shape", "in_shape", "remedy"),
    [
        ((4,), (4,), "x[None]"),
        ((8, 8), (8, 8), "x[None]"),
        ((12,), (1,), "x[:, None]"),
        ((4, 12), (4,), "x.T"),
        ((12, 8, 8), (64,), "x.reshape(-1, 64)"),
        ((12, 64), (8, 8), "x.reshape(-1, 8, 8)"),
        ((12, 5), (4,), "make a new network"),
        ((12,), (4,), "make a new network"),
    ],
)
def test_what_a_shape_was_meant_to_be(shape: tuple[int, ...], in_shape: tuple[int, ...], remedy: str) -> None:
    assert remedy in x_remedy(shape, in_shape)
    if remedy.startswith("x"):
        assert eval(remedy, {"x": np.zeros(shape)}).shape[1:] == in_shape


@pytest.mark.parametrize("given", [(6, 4), (24,), (1, 4, 6)])
def test_what_gives_a_weight_its_shape(given: tuple[int, ...]) -> None:
    said = weight_remedy((4, 6), given)
    code = "." + said.partition(" .")[2]
    assert eval(f"array{code}", {"array": np.zeros(given)}).shape == (4, 6)


def test_a_weight_of_another_size_needs_other_layers() -> None:
    assert "change the layers" in weight_remedy((4, 6), (5, 6))


# No real numbers

WORDS = np.array(["cherry", "apple", "cherry", "melon"])
RECORDS = np.array([(1.0, 2.0), (3.0, 4.0)], [("a", float), ("b", float)])
FOLLOWED = {
    "text": ("x", np.array([["1.5", " 2"], ["-3e2", "nan"]])),
    "bytes": ("y", np.array([b"1", b"0"])),
    "objects": ("y", np.array(["1", 2.5, None], object)),
    "none": ("x", np.array([[1, None], [2, 3]], object)),
    "labels": ("y", WORDS),
    "label-column": ("validation_data: y", WORDS[:, None]),
    "records": ("x", RECORDS),
    "dates": ("x", np.array([["2020-01-01"], ["2020-02-01"]], "M8[D]")),
    "years": ("y", np.array(["2020", "2021"], "M8[Y]")),
    "spans": ("x", np.array([[5], [7]], "m8[h]")),
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_a_remedy_for_what_is_no_number_gives_numbers(case: str) -> None:
    """The code in each is run on the array that it was said of."""
    import numpy.lib.recfunctions

    argument, array = FOLLOWED[case]
    name, remedy = argument[-1], real_remedy(array, argument)
    names = {"np": np, "numpy": numpy, name: array}
    (code,) = re.findall(rf"(?:names, {name} = )?\(?(?:np|numpy|{name})[ .].*\)(?: / np.\w+\(.*\))?", remedy)
    exec(code if "=" in code.split("(")[0] else f"{name} = {code}", names)
    assert names[name].dtype.kind in "if"
    assert len(names[name]) == len(array)
    if case == "labels":
        assert (names["names"][names["y"]] == WORDS).all()


@pytest.mark.parametrize(
    ("argument", "array", "expected"),
    [
        ("x", WORDS[:, None], "pandas.get_dummies"),
        ("y", np.array([["a", "b"]]), "pandas.get_dummies"),
        ("x", np.array([["1", "red"]]), "OneHotEncoder"),
        ("x", np.array("data.csv"), "read it first"),
        ("y", np.array(["a", None], object), "drop rows without a label, and number text labels first: names, y ="),
        ("y_pred", WORDS, "names = np.unique(y_true): np.searchsorted(names, y_true)"),
        ("x", np.array([object()]), "make numbers of them"),
    ],
)
def test_other_remedies_for_what_is_no_number(argument: str, array: Any, expected: str) -> None:
    assert expected in real_remedy(array, argument)


def test_text_for_a_network_is_told_apart() -> None:
    net = Network([Dense(3)], seed=0)
    with pytest.raises(xpnet.DtypeError, match=r"^x must .* its text looks like numbers"):
        net.fit(X.astype(str), LABELS, verbose=0)
    with pytest.raises(xpnet.DtypeError, match=r"^y must .* number text labels first: names, y = np\.unique"):
        net.fit(X, WORDS[LABELS], verbose=0)


def test_a_data_frames_column_is_named_wherever_x_goes(backend: xpnet.Backend) -> None:
    pandas = pytest.importorskip("pandas")
    net = network(backend, inputs=4)
    gap = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    gap.loc[7, "c"] = np.nan
    text = gap.assign(c="red")
    for use in (
        net.predict,
        lambda frame: net.fit(frame, LABELS, verbose=0),
        lambda frame: net.evaluate(frame, LABELS),
    ):
        with pytest.raises(DataError, match=r"the first is x\[7, 2\] \(column 'c'\) = nan"):
            use(gap)
        with pytest.raises(xpnet.DtypeError, match=r"with 'red' at x\[0, 2\] \(column 'c'\): make columns of 0 and 1"):
            use(text)


@pytest.mark.parametrize("x", [X, X[:, :1]])
def test_targets_in_one_row_are_to_be_reshaped(x: Any, backend: xpnet.Backend) -> None:
    with pytest.raises(ShapeError, match=r"expected 12, got 1; it is a single row of 12: give its \.reshape\(-1\)$"):
        network(backend).fit(x, LABELS[None], verbose=0)

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from libraries import NAMES, Library

from xpnet.arrays import to_host
from xpnet.errors import DataError, DtypeError, ShapeError


@pytest.fixture(params=NAMES)
def library(request: pytest.FixtureRequest) -> Library:
    return Library(request.param)


def test_to_host_takes_every_library(library: Library) -> None:
    host = to_host(library.array([[1.0, 2.0]], "float32"))
    assert type(host) is np.ndarray
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, [[1.0, 2.0]])


def test_to_host_takes_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3, 4]})
    np.testing.assert_array_equal(to_host(frame), [[1.0, 3.0], [2.0, 4.0]])
    np.testing.assert_array_equal(to_host(frame["b"]), [3, 4])


def test_to_host_takes_torch_with_gradient_and_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(to_host(torch.ones(2, requires_grad=True)), [1, 1])
    half = to_host(torch.tensor([1.5], dtype=torch.bfloat16))
    assert half.dtype == np.float32
    assert half[0] == 1.5


def test_to_host_takes_jax_bfloat16() -> None:
    jnp = pytest.importorskip("jax.numpy")
    half = jnp.ones(2, jnp.bfloat16)
    assert to_host(half).dtype == np.float32
    assert to_host(np.asarray(half)).dtype == np.float32


class OnGpu:
    """An array as CuPy's: it refuses implicit conversion and leaves its device by `get` alone."""

    __cuda_array_interface__: ClassVar[dict[str, int]] = {}

    def get(self) -> np.ndarray:
        return np.arange(3)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


def test_to_host_takes_cupy_by_get() -> None:
    np.testing.assert_array_equal(to_host(OnGpu()), [0, 1, 2])


def test_to_host_names_what_it_refuses() -> None:
    with pytest.raises(ShapeError, match=r"^y is not a rectangular"):
        to_host([[1], [1, 2]], "y")
    with pytest.raises(DtypeError, match=r"is a sparse csr_array; give its \.toarray\(\)"):
        to_host(pytest.importorskip("scipy.sparse").csr_array([[1, 0]]))
    with pytest.raises(DataError, match="masked"):
        to_host(np.ma.masked_equal([1, 2], 2))
    assert to_host(np.ma.masked_equal([1, 2], 3)).tolist() == [1, 2]

    class Stubborn:
        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise TypeError("no")

    with pytest.raises(DtypeError, match=r"^y, a Stubborn, cannot be read"):
        to_host(Stubborn(), "y")


def test_to_host_leaves_a_memory_map_where_it_is(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "x.bin", "float32", "w+", shape=(2, 3))
    assert to_host(mapped) is mapped
    assert to_host(mapped, real=True) is mapped


def test_to_host_real_makes_numbers_of_objects(library: Library) -> None:
    pandas = pytest.importorskip("pandas")
    assert to_host(pandas.DataFrame({"a": [1, 2], "b": [True, False]}), real=True).tolist() == [[1.0, 1.0], [2.0, 0.0]]
    assert to_host(np.array([1, 2.5], object), real=True).dtype == np.float64
    assert to_host(library.array([1, 0], "int32"), real=True).dtype == np.int32
    assert to_host(library.array([True]), real=True).dtype == np.bool_


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b"], "got dtype <U1: number text and categories first"),
        ([None, 1], "got dtype object"),
        (np.array(["1", 2], object), "got dtype object"),
        (np.array([[1], [1, 2]], object), "objects that are none"),
        ([1j], "got dtype complex128: use its real part"),
        (np.array(["2020-01-01"], "datetime64[D]"), "got dtype datetime64"),
        ([{}], "objects that are none"),
    ],
)
def test_to_host_real_refuses(values: Any, message: str) -> None:
    with pytest.raises(DtypeError, match=f"^y must hold real numbers; .*{message}"):
        to_host(values, "y", real=True)

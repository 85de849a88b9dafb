"""The PyTorch backend: whatever mode and defaults the caller has set, and whatever tensors it brings."""

from __future__ import annotations

import numpy as np
import pytest

import xpnet
from xpnet import BatchNorm, Dense, Dropout, Network

torch = pytest.importorskip("torch")

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 2


def make() -> Network:
    return Network([Dense(4), BatchNorm(), "relu", Dropout(0.2), Dense(2)], backend="torch", seed=0, inputs=3)


def fit(net: Network, epochs: int) -> None:
    net.fit(X, Y, epochs=epochs, batch_size=5, verbose=0)


def test_a_network_of_inference_mode_is_trained_on_outside() -> None:
    with torch.inference_mode():
        net = make()
        fit(net, 1)
        net.train_step(X, Y)
        net.set_weights(net.get_weights())
    plain = make()
    fit(plain, 1)
    plain.train_step(X, Y)
    for each in (net, plain):
        fit(each, 2)
    for name, weight in plain.get_weights().items():
        np.testing.assert_array_equal(net.get_weights()[name], weight)
    assert not net.predict(X).requires_grad


@pytest.mark.parametrize("inference", [False, True])
def test_autocast_changes_no_number(inference: bool) -> None:
    found = []
    for enabled in (False, True):
        with torch.inference_mode(inference), torch.autocast("cpu", enabled=enabled):
            net = make()
            fit(net, 2)
            net.train_step(X, Y)
            found.append([*net.get_weights().values(), net.predict(X).numpy(), torch.mm(*torch.ones(2, 1, 1))])
    *plain, rounded = zip(*found, strict=True)
    assert [each.dtype for each in rounded] == [torch.float32, torch.bfloat16]  # it was on, and still is
    for one, other in plain:
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_nested_tensor_is_refused_with_its_remedy() -> None:
    nested = torch.nested.nested_tensor([torch.tensor(X[0]), torch.tensor(X[1])])
    with pytest.raises(xpnet.DataError, match="to_padded_tensor"):
        make().predict(nested)

"""What a network prints of itself."""

from __future__ import annotations

import re

import xpnet
from xpnet import BatchNorm, Dense, Dropout, Network, Residual
from xpnet.summary import short


def test_the_table_of_a_built_network(backend: xpnet.Backend) -> None:
    net = Network([Dense(64), "relu", BatchNorm(), Dropout(0.2), Dense(10)], backend=backend, inputs=784)
    head, *rows, foot = net.summary().splitlines()
    assert head == f"Network on {backend.name} ({backend.device}), float64"
    assert [re.split(r"\s{2,}", row.strip()) for row in rows] == [
        ["input", "(784,)"],
        ["0", "Dense(64)", "(64,)", "50,240"],
        ["1", "ReLU()", "(64,)", "0"],
        ["2", "BatchNorm()", "(64,)", "128"],
        ["3", "Dropout(rate=0.2)", "(64,)", "0"],
        ["4", "Dense(10)", "(10,)", "650"],
    ]
    assert foot == "51,018 parameters, 0 steps trained"
    assert len({row.index("(64,)") for row in rows[1:5]}) == 1  # columns stand under each other


def test_containers_count_what_is_inside() -> None:
    net = Network([Residual([Dense(4), "tanh"]), xpnet.Reshape((2, 2)), "flatten", Dense(2)], inputs=4)
    assert "Residual([Dense(4), Tanh()])" in net.summary()
    assert net.summary().endswith("30 parameters, 0 steps trained")
    assert "(2, 2)" in net.summary()


def test_a_network_that_waits_for_data() -> None:
    text = Network([Dense(64), "relu"]).summary()
    assert text.splitlines()[0].endswith("not built: its input's shape comes with the first data")
    assert text.splitlines()[1:] == ["Dense(64)", "ReLU()"]


def test_steps_are_counted() -> None:
    net = Network([Dense(2)])
    net.train_step([[1.0, 2.0]], [0])
    assert net.summary().endswith("6 parameters, 1 steps trained")


def test_short_shows_what_is_not_the_default() -> None:
    assert short(Dense(3)) == "Dense(3)"
    assert short(Dense(3, bias=False)) == "Dense(3, bias=False)"
    assert short(xpnet.Adam(0.01)) == "Adam(learning_rate=0.01)"
    assert short(xpnet.SGD(xpnet.StepDecay(0.1, 5))) == "SGD(learning_rate=StepDecay(0.1, 5))"
    assert short((Dense(1), xpnet.Tanh())) == "[Dense(1), Tanh()]"
    assert short("relu") == "'relu'"
    assert "L2(rate=0.1)" in short(xpnet.chain(xpnet.L2(0.1), xpnet.Adam()))

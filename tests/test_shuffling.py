"""Row orders: where they come from, what a thread draws ahead, and that this changes no order."""

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

import xpnet
from xpnet import shuffling
from xpnet.random import host_stream
from xpnet.shuffling import RowOrders


def draw(seed, epoch, rows):
    return host_stream(seed, "batches", epoch).permutation(rows)


@pytest.fixture
def drawing(monkeypatch):
    """Draw ahead from 10 rows on, however long an epoch is, and return the threads that have drawn."""
    monkeypatch.setattr(shuffling, "MIN_ROWS_AHEAD", 10)
    monkeypatch.setattr(shuffling, "MIN_SHARE_AHEAD", 0.0)
    names = []

    def recorded(seed, epoch, rows):
        names.append(threading.current_thread().name)
        return draw(seed, epoch, rows)

    monkeypatch.setattr(shuffling, "_draw_order", recorded)
    return names


def test_an_order_that_was_drawn_ahead_is_the_same(drawing):
    made = RowOrders(shuffle=True, rows=100, batch_size=10)
    for epoch in range(5):
        if epoch:
            made.draw_ahead(3, epoch)
        np.testing.assert_array_equal(made.order_for(3, epoch), draw(3, epoch, 100))
    made.close()
    assert drawing == [threading.current_thread().name, *["xpnet-order_0"] * 4]


def test_an_order_drawn_for_another_epoch_or_seed_is_not_used(drawing):
    made = RowOrders(shuffle=True, rows=100, batch_size=10)
    made.draw_ahead(3, 1)
    np.testing.assert_array_equal(made.order_for(3, 2), draw(3, 2, 100))
    np.testing.assert_array_equal(made.order_for(4, 1), draw(4, 1, 100))
    np.testing.assert_array_equal(made.order_for(3, 1), draw(3, 1, 100))
    made.close()
    assert len(drawing) == 3


@pytest.mark.parametrize(
    ("shuffle", "rows", "size"),
    [
        (False, 100, 10),
        (True, 100, 100),
        (True, 9, 3),
        (True, 2**40, 10),
        (True, None, 10),
        (lambda epoch, rows: range(rows), 100, 10),
    ],
)
def test_nothing_else_is_drawn_ahead(shuffle, rows, size, drawing):
    made = RowOrders(shuffle, rows, size)
    made.draw_ahead(0, 1)
    made.close()
    assert drawing == []
    assert made._threads is None


@pytest.mark.parametrize(("seconds", "ahead"), [(0.0, True), (1e-3, True), (0.017, True), (0.02, False), (5.0, False)])
def test_a_thread_must_be_worth_the_time_that_it_takes_from_the_steps(seconds, ahead):
    made = RowOrders(shuffle=True, rows=30_000, batch_size=100, seconds=seconds)  # drawn in 0.45 ms
    made.draw_ahead(0, 1)
    made.close()
    assert (made._threads is not None) is ahead


@pytest.mark.parametrize(("shuffle", "rows", "size"), [(False, 100, 10), (True, 100, 100), (True, None, 10)])
def test_rows_may_keep_their_own_order(shuffle, rows, size):
    assert RowOrders(shuffle, rows, size).order_for(0, 0) is None


def test_a_function_is_called_in_the_callers_thread():
    def shuffle(epoch, rows):
        assert threading.current_thread() is threading.main_thread()
        return np.roll(np.arange(rows), epoch)

    made = RowOrders(shuffle, 20_000, 10)
    made.draw_ahead(0, 1)
    np.testing.assert_array_equal(made.order_for(0, 1), np.roll(np.arange(20_000), 1))


def test_training_is_the_same_and_leaves_no_thread(drawing, monkeypatch):
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = (x[:, 0] > 0).astype(int)

    def trained():
        network = xpnet.Network([xpnet.Dense(5), "tanh", xpnet.Dense(2)], seed=1)
        history = network.fit(x, y, epochs=4, batch_size=7, verbose=0)
        return history, network.get_weights()

    ahead, weights = trained()
    assert drawing.count("xpnet-order_0") == 3  # the first is drawn before, and none after the last
    monkeypatch.setattr(shuffling, "MIN_ROWS_AHEAD", 1000)
    plain, others = trained()
    assert ahead == plain
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, others[name])


@pytest.mark.parametrize("spare", [True, False])
def test_a_backend_that_needs_all_cores_has_nothing_drawn_beside_it(spare, drawing):
    backend = replace(xpnet.open_backend("numpy"), spare_core=spare)
    network = xpnet.Network([xpnet.Dense(2)], seed=1, backend=backend)
    network.fit(np.ones((60, 2)), np.zeros(60, int), epochs=3, batch_size=7, verbose=0)
    assert len(drawing) == 3
    assert ("xpnet-order_0" in drawing) is spare


def test_an_interrupted_training_ends_the_thread(drawing):
    class Stops(xpnet.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                raise KeyboardInterrupt

    network = xpnet.Network([xpnet.Dense(2)], seed=1)
    with pytest.raises(KeyboardInterrupt):
        network.fit(np.ones((60, 2)), np.zeros(60, int), epochs=4, batch_size=7, verbose=0, callbacks=[Stops()])
    for thread in threading.enumerate():
        if thread.name.startswith("xpnet-order"):
            thread.join(300)
            assert not thread.is_alive()
    assert "xpnet-order_0" in drawing


def test_an_error_in_the_thread_is_raised(monkeypatch):
    monkeypatch.setattr(shuffling, "MIN_ROWS_AHEAD", 10)
    made = RowOrders(shuffle=True, rows=100, batch_size=10)

    def failing(seed, epoch, rows):
        raise MemoryError("no room for an order")

    monkeypatch.setattr(shuffling, "_draw_order", failing)
    made.draw_ahead(0, 1)
    with pytest.raises(MemoryError, match="no room"):
        made.order_for(0, 1)
    made.close()


AFTER_MAIN_THREAD = """
import concurrent.futures, threading, time, xpnet
x, y = xpnet.clouds(3000, seed=0)
def train():
    time.sleep(0.5)  # until the main thread has ended
    network = xpnet.Network([xpnet.Dense(4), "relu", xpnet.Dense(3)], seed=0)
    network.fit(x, y, epochs=3, batch_size=1000, verbose=0)
    print("trained", network.epochs, flush=True)
{start}
"""


@pytest.mark.parametrize(
    "start", ["threading.Thread(target=train).start()", "concurrent.futures.ThreadPoolExecutor(1).submit(train)"]
)
def test_a_thread_trains_on_where_the_main_thread_has_ended(start):
    done = subprocess.run(
        [sys.executable, "-c", AFTER_MAIN_THREAD.replace("{start}", start)], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.returncode) == ("trained 3\n", 0), done.stderr


@pytest.mark.parametrize("kind", ["i1", "u1", "u2", ">i4", "u8"])
def test_rows_of_any_type_are_an_order(kind, backend):
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2

    def trained(kind):
        network = xpnet.Network([xpnet.Dense(2)], backend=backend, seed=0)
        rows = np.arange(20)[::-1].astype(kind)
        network.fit(x, y, batch_size=6, shuffle=lambda epoch, count: rows, verbose=0)
        return network.get_weights()["0.weight"]

    np.testing.assert_array_equal(trained(kind), trained("int64"))

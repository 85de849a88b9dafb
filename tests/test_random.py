"""Random numbers: the same on every backend bit for bit, and as random as a mask has to be."""

from __future__ import annotations

import numpy as np
import pytest

import xpnet
from xpnet.random import bits16, fold_in, host_stream, key_words, make_key

# The hash in Python's own integers, which have no width to get wrong.
WIDTH = 0xFFFFFFFF


def mix(word, between=None):
    word ^= word >> 16
    word = (word * 0x21F0AAAD) & WIDTH
    word ^= word >> 15
    if between is not None:
        word = (word + between) & WIDTH
    word = (word * 0xD35A2D97) & WIDTH
    word ^= word >> 15
    return word


def fold(key, number):
    first = mix(key[0] ^ number)
    return first, mix((key[1] + first) & WIDTH)


def reference_bits(seed, step, path, count):
    key = fold(tuple(key_words(seed)[:2]), step)
    for number in path:
        key = fold(key, number)
    words = [mix(i ^ key[0], key[1]) for i in range((count + 1) // 2)]
    return np.array([word & 0xFFFF for word in words] + [word >> 16 for word in words])[:count]


def device_bits(backend, seed, step, path, count):
    xp = backend.xp

    def run(words, step):
        key = make_key(words, step, xp)
        for number in path:
            key = fold_in(key, number, xp)
        return bits16(key, count, xp)

    words = backend.compile(lambda: xp.nn.words(key_words(seed)))()
    step = backend.asarray(np.asarray(step, dtype=np.int32), dtype=xp.int32)
    return np.array(backend.to_numpy(backend.compile(run)(words, step))).astype(np.int64)


@pytest.mark.parametrize(
    ("seed", "step", "path", "count"),
    [
        (0, 0, (), 7),
        (0, 1, (2,), 8),
        (123456789, 2**31 - 1, (1, 0, 3), 33),
        (2**63, 1000, (int.from_bytes(b"sho"),), 5),
    ],
)
def test_bits_are_the_same_on_every_backend(seed, step, path, count, backend, backend32):
    wanted = reference_bits(seed, step, path, count)
    assert np.array_equal(device_bits(backend, seed, step, path, count), wanted)
    assert np.array_equal(device_bits(backend32, seed, step, path, count), wanted)


def test_the_numbers_are_pinned(open_backend):
    """A model trained from a seed today must be the same tomorrow."""
    assert device_bits(open_backend("numpy"), 0, 0, (2,), 6).tolist() == reference_bits(0, 0, (2,), 6).tolist()
    assert reference_bits(0, 0, (2,), 6).tolist() == PINNED
    assert host_stream(0, "weights", "0.weight").integers(1 << 30) == PINNED_WEIGHT
    assert host_stream(0, "batches", 3).permutation(6).tolist() == PINNED_ORDER


PINNED = [60127, 21723, 49084, 53726, 11316, 40531]
PINNED_WEIGHT = 86210412
PINNED_ORDER = [0, 2, 5, 1, 3, 4]


COUNT = 200_000


def stream(seed=0, step=0, path=(2,), count=COUNT):
    return device_bits(xpnet.open_backend("numpy"), seed, step, path, count)


@pytest.fixture(scope="module")
def base():
    return stream()


def test_values_are_uniform(base):
    """Chi squared over 256 cells, for the high and for the low byte: 255 +- 5 deviations of sqrt(2 * 255)."""
    for byte in (base >> 8, base & 0xFF):
        counts = np.bincount(byte, minlength=256)
        chi = np.sum((counts - COUNT / 256) ** 2) / (COUNT / 256)
        assert abs(chi - 255) < 5 * np.sqrt(2 * 255)
    assert abs(base.mean() - 32767.5) < 5 * 65536 / np.sqrt(12 * COUNT)


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


LIMIT = 5 / np.sqrt(COUNT)
"""Five standard deviations of the correlation of independent numbers."""


@pytest.mark.parametrize(
    "other",
    [
        {"step": 1},
        {"step": 2},
        {"step": 1000},
        {"path": (3,)},
        {"path": (2, 0)},
        {"path": (0,)},
        {"seed": 1},
        {"seed": 2},
    ],
    ids=str,
)
def test_steps_layers_and_seeds_are_independent(base, other):
    assert abs(correlation(base, stream(**other))) < LIMIT
    assert abs(np.mean((base < 32768) == (stream(**other) < 32768)) - 0.5) < LIMIT
    xored = np.bitwise_xor(base, stream(**other))
    assert np.unique(xored).size > 60_000, "two streams differ by more than a few bits"


@pytest.mark.parametrize("lag", [1, 2, 3, 7, 64, 128, COUNT // 2])
def test_neighbours_are_independent(base, lag):
    assert abs(correlation(base[:-lag], base[lag:])) < 5 / np.sqrt(COUNT - lag)


def test_every_bit_is_fair_and_apart_from_the_others(base):
    bits = (base[:, None] >> np.arange(16)) & 1
    assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(COUNT)
    assert np.abs(np.corrcoef(bits.T) - np.eye(16)).max() < LIMIT


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_drop_at_their_rate_and_keep_the_mean(rate, backend):
    xp = backend.xp
    shape = (200, 100)

    def run(words, step):
        return xp.nn.dropout_mask(make_key(words, step, xp), shape, rate, backend.float)

    words = backend.compile(lambda: xp.nn.words(key_words(3)))()
    compiled = backend.compile(run)
    step = lambda t: backend.asarray(np.asarray(t, dtype=np.int32), dtype=xp.int32)  # noqa: E731
    masks = [np.array(backend.to_numpy(compiled(words, step(t)))) for t in range(3)]
    deviation = np.sqrt(rate * (1 - rate) / 20_000)
    for mask in masks:
        kept = mask > 0
        assert np.unique(mask[kept]).size == 1
        np.testing.assert_allclose(mask[kept], 1 / (1 - rate), rtol=1e-4)
        assert abs((1 - kept.mean()) - rate) < 5 * deviation
        assert np.abs((1 - kept.mean(0)) - rate).max() < 5 * np.sqrt(rate * (1 - rate) / 200), "every column"
        assert np.abs((1 - kept.mean(1)) - rate).max() < 5 * np.sqrt(rate * (1 - rate) / 100), "every row"
    assert not np.array_equal(masks[0], masks[1])
    assert abs(correlation(masks[0].ravel(), masks[1].ravel())) < 5 / np.sqrt(20_000)


def test_the_expectation_is_exactly_one():
    """The rounded probability and the scale belong together: kept / 65536 * 65536 / kept."""
    xp = xpnet.open_backend("numpy", dtype="float64").xp
    for rate in (0.1, 0.3, 1 / 3, 0.999):
        key = make_key(xp.nn.words(key_words(0)), xp.zeros((), dtype=xp.int32), xp)
        scale = np.max(xp.nn.dropout_mask(key, (1 << 18,), rate, xp.float64))
        kept = round((1 - rate) * 65536)
        assert scale * kept == pytest.approx(65536, rel=1e-15)


def test_masks_of_layers_of_one_network_differ(backend):
    """Dropout at two places and twice in one shape, and inside containers, never repeats a mask."""
    drop = xpnet.Dropout(0.5)
    layers = [drop, drop, xpnet.Residual([drop, drop], shortcut=drop), xpnet.Sequential([drop]), xpnet.Dense(1)]
    net = xpnet.Network(layers, loss="mse", backend=backend, inputs=64, seed=5)
    masks = {}
    for step in range(2):
        found = net.trace(np.ones((8, 64)), np.zeros(8))
        masks |= {(step, "0"): found["0.output"] > 0}
        masks |= {(step, name): found[f"{name}.output"] for name in ("2.0", "2.1", "3.0")}
        net.train_step(np.ones((8, 64)), np.zeros(8))
    assert len({mask.tobytes() for mask in masks.values()}) == len(masks)
    assert abs(np.corrcoef(masks[0, "0"].ravel(), masks[1, "0"].ravel())[0, 1]) < 5 / np.sqrt(512)


def test_host_streams_are_named_and_touch_no_global_seed():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    draws = {names: host_stream(4, *names).random() for names in [("a",), ("b",), ("a", 1), ("a", 2), ("a", "1")]}
    assert len(set(draws.values())) == len(draws)
    assert host_stream(4, "a").random() == draws["a",]
    assert host_stream(5, "a").random() != draws["a",]
    xpnet.Network([xpnet.Dropout(0.5), xpnet.Dense(2)], inputs=2).fit(np.ones((4, 2)), [0, 1, 0, 1], verbose=0)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002

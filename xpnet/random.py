"""Random numbers that are defined, not ambient: the same seed gives the same numbers on every backend.

Two kinds. *Host streams* (initial weights, batch order, splits) are NumPy generators, one for each purpose
and name, derived from the seed. *Device bits* (dropout masks) are a hash of a counter, written in Array API
integer operations that are exact everywhere. Nothing reads or writes a global seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from xpnet.backend import Array

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Key", "bits16", "fold_in", "host_stream", "key_words", "make_key"]

# The multipliers of `lowbias32`, a bijection of 32-bit words with low avalanche bias; shifts 16, 15, 15.
# https://github.com/skeeto/hash-prospector (best known as of issue 19)
MULTIPLIERS = (0x21F0AAAD, 0xD35A2D97)


class Key(NamedTuple):
    """What a stream of device bits is derived from; each field is a device array of 32-bit words."""

    first: Array  # (1,)
    second: Array  # (1,)
    multipliers: Array  # (2,), on the device because not every library takes 32-bit constants


def host_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the NumPy generator of *seed* for one purpose, independent of every other purpose.

    >>> bool(host_stream(0, "batches", 1).integers(100) == host_stream(0, "batches", 1).integers(100))
    True
    """
    from numpy.random import SeedSequence, default_rng

    path = tuple(name if isinstance(name, int) else crc32(name.encode()) for name in names)
    return default_rng(SeedSequence(seed, spawn_key=path))


def key_words(seed: int) -> list[int]:
    """Return the words that :func:`make_key` wants on the device, for the masks of *seed*."""
    from numpy.random import SeedSequence

    state = SeedSequence(seed, spawn_key=(crc32(b"masks"),)).generate_state(2)
    return [*(int(word) for word in state), *MULTIPLIERS]


def make_key(words: Array, step: Array, xp: Any) -> Key:
    """Return the key of one training step.

    Parameters
    ----------
    words : array, shape (4,)
        :func:`key_words` on the device, as ``xp.nn.words`` made them.
    step : array of int32, 0-d
        The number of the step, so that each step has masks of its own.
    """
    key = Key(words[0:1], words[1:2], words[2:4])
    return fold_in(key, xp.reshape(xp.astype(step, words.dtype), (1,)), xp)


def fold_in(key: Key, number: Array | int, xp: Any) -> Key:
    """Return the key of the child with this *number* (an int below 2**31, or a word on the device)."""
    first = _mix(xp.bitwise_xor(key.first, number), key.multipliers, xp)
    second = _mix(xp.nn.wrap(key.second + first), key.multipliers, xp)
    return Key(first, second, key.multipliers)


def bits16(key: Key, count: int, xp: Any) -> Array:
    """Return *count* random integers in 0..65535, in the backend's word type.

    Word i is ``mix(i ^ first, + second)``; its low and high halves give two numbers.
    """
    counter = xp.arange((count + 1) // 2, dtype=key.first.dtype)
    words = xp.bitwise_xor(counter, key.first)
    words = _mix(words, key.multipliers, xp, between=key.second)
    return xp.concat([words & 0xFFFF, words >> 16])[:count]


def _mix(words: Array, multipliers: Array, xp: Any, between: Array | None = None) -> Array:
    """Apply `lowbias32` to words that the caller owns; *between* enters as a second key."""
    words ^= words >> 16
    words *= multipliers[0:1]
    words = xp.nn.wrap(words)
    words ^= words >> 15
    if between is not None:
        words += between
        words = xp.nn.wrap(words)
    words *= multipliers[1:2]
    words = xp.nn.wrap(words)
    words ^= words >> 15
    return words

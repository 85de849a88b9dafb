from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnet import Adam, ConfigurationError, CosineDecay
from xpnet.checks import check_real, positive_integer, seeded_generator


@pytest.mark.parametrize("value", [1, np.int64(7), np.uint8(255), 10**400])
def test_positive_integers_are_taken(value: Any) -> None:
    assert positive_integer("points", value) == value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_other_numbers_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="points must be a positive integer"):
        positive_integer("points", value)


def test_real_numbers_within_their_range_are_taken() -> None:
    for value in (0, 0.5, np.float64(0.25)):
        check_real("rate", value, least=0, below=1)
    check_real("shift", -1e300)


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan"), float("inf"), True, "0.5", None, 10**400])
def test_real_numbers_beyond_their_range_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="rate must be a finite number of at least 0 and below 1; got"):
        check_real("rate", value, least=0, below=1)


def test_integers_beyond_every_float_are_refused_where_floats_are_computed() -> None:
    with pytest.raises(ConfigurationError, match="learning_rate"):
        Adam(10**400)
    with pytest.raises(ConfigurationError, match="steps"):
        CosineDecay(0.1, 10**400)


def test_a_seed_gives_one_generator() -> None:
    assert seeded_generator(3).integers(1000) == seeded_generator(np.int64(3)).integers(1000)
    for seed in (-1, 0.5, None):
        with pytest.raises(ConfigurationError, match="seed must be an integer that is not negative"):
            seeded_generator(seed)

"""Every schedule against its closed form, on every backend and in float32 too."""

from __future__ import annotations

from math import cos, floor, pi

import numpy as np
import pytest

import xpnet
from xpnet import schedules
from xpnet.schedules import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstant,
    StepDecay,
)


def cosine(t, rate, steps, warmup=0, final=0.0, restarts=False):
    if t < warmup:
        return rate * (t + 1) / warmup
    share = (t - warmup) / steps
    share = share - floor(share) if restarts else min(share, 1)
    return final + (rate - final) * (1 + cos(pi * share)) / 2


def one_cycle(t, rate, steps, rise=0.3, start=25.0, end=1e4):
    low, top = rate / start, rise * steps - 1
    bottom = low / end
    if t <= top:
        return rate + (low - rate) * (1 + cos(pi * t / (top or 1))) / 2
    share = min((t - top) / (steps - 1 - top), 1)
    return bottom + (rate - bottom) * (1 + cos(pi * share)) / 2


CASES = {
    "constant": (ConstantRate(0.3), lambda t: 0.3),
    "inverse time": (InverseTimeDecay(0.05, 0.1), lambda t: 0.05 / (1 + 0.1 * t)),
    "inverse time, slow": (InverseTimeDecay(0.05, 0.5, every=10), lambda t: 0.05 / (1 + 0.5 * t / 10)),
    "step": (StepDecay(0.1, every=7, factor=0.5), lambda t: 0.1 * 0.5 ** (t // 7)),
    "exponential": (ExponentialDecay(0.1, every=10, factor=0.3), lambda t: 0.1 * 0.3 ** (t / 10)),
    "exponential up": (ExponentialDecay(1e-6, every=5, factor=10.0), lambda t: 1e-6 * 10.0 ** (t / 5)),
    "cosine": (CosineDecay(0.1, 30), lambda t: cosine(t, 0.1, 30)),
    "cosine, warm": (CosineDecay(0.1, 30, warmup=5, final=0.01), lambda t: cosine(t, 0.1, 30, 5, 0.01)),
    "cosine, restarts": (
        CosineDecay(0.1, 8, warmup=3, final=0.02, restarts=True),
        lambda t: cosine(t, 0.1, 8, 3, 0.02, True),
    ),
    "one cycle": (OneCycle(0.1, 40), lambda t: one_cycle(t, 0.1, 40)),
    "one cycle, early": (
        OneCycle(0.2, 30, rise=0.1, start_divisor=10.0, end_divisor=100.0),
        lambda t: one_cycle(t, 0.2, 30, 0.1, 10.0, 100.0),
    ),
    "piecewise": (
        PiecewiseConstant((3, 10), (0.1, 0.02, 0.0)),
        lambda t: 0.1 if t < 3 else 0.02 if t < 10 else 0.0,
    ),
}

STEPS = range(50)


def rates(schedule, backend, steps=STEPS):
    """Return the rate at each step, with the step a 0-d array as it is in training."""
    run = backend.compile(lambda step: schedule(step, backend.xp) + 0.0 * step)
    return np.array(
        [float(backend.to_numpy(run(backend.asarray(np.asarray(float(t)), dtype=backend.float)))) for t in steps]
    )


@pytest.mark.parametrize("case", CASES)
def test_schedule_is_its_closed_form(case, backend):
    schedule, form = CASES[case]
    np.testing.assert_allclose(rates(schedule, backend), [form(t) for t in STEPS], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("case", ["step", "cosine, restarts", "one cycle", "piecewise"])
def test_schedule_jumps_at_the_same_step_in_float32(case, backend32):
    schedule, form = CASES[case]
    np.testing.assert_allclose(rates(schedule, backend32), [form(t) for t in STEPS], rtol=2e-6, atol=1e-7)


# A division by these that became a product, as XLA makes it, would be late at one of their multiples.
PERIODS = [3, 10, 41, 47, 49, 55, 61, 82, 83, 94, 97, 98, 999]


@pytest.mark.parametrize("every", PERIODS)
def test_step_decay_falls_exactly_on_its_steps(every, backend, backend32):
    stairs = range(1, 12)
    for there in (backend, backend32):
        steps = [step for stair in stairs for step in (stair * every - 1, stair * every, stair * every + 1)]
        found = rates(StepDecay(1.0, every=every, factor=0.5), there, steps)
        np.testing.assert_allclose(found, [0.5 ** (step // every) for step in steps], rtol=2e-6)


@pytest.mark.parametrize("period", PERIODS)
def test_cosine_decay_starts_anew_exactly_on_its_steps(period, backend, backend32):
    for there in (backend, backend32):
        found = rates(CosineDecay(1.0, period, warmup=3, restarts=True), there, [3 + n * period for n in range(12)])
        np.testing.assert_array_equal(found, 1.0)


def test_every_schedule_has_a_case():
    known = {getattr(schedules, name) for name in schedules.__all__} - {schedules.Schedule}
    assert known == {type(schedule) for schedule, _ in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_schedule_steers_real_steps(case, open_backend):
    """With plain descent on a constant gradient, each step is as long as its rate."""
    schedule, form = CASES[case]
    net = xpnet.Network(
        [xpnet.Dense(1, bias=False)],
        loss=xpnet.MeanAbsoluteError(),
        optimizer=xpnet.SGD(schedule),
        backend=open_backend("numpy"),
        inputs=1,
    )
    net.set_weights({"0.weight": [[100.0]]})
    before = 100.0
    for t in range(20):
        net.train_step([[1.0]], [0.0])
        after = net.get_weights()["0.weight"].item()
        assert before - after == pytest.approx(form(t), rel=1e-9, abs=1e-12)
        assert net.last_learning_rate == pytest.approx(form(t), rel=1e-12, abs=1e-16)
        before = after


@pytest.mark.parametrize("boundaries", [(), (3,), (3, 5)])
def test_piecewise_rates_are_chosen_among_arrays(boundaries):
    """The standard's ``where`` takes arrays; that numbers will do is an addition of 2024.12, which not all have."""

    class Chosen(dict):
        where = staticmethod(lambda condition, x, y: np.where(condition, x[()], y[()]))

    schedule = PiecewiseConstant(boundaries, (0.1, 0.2, 0.4)[: len(boundaries) + 1])
    for step in (np.asarray(4.0, dtype="float32"), np.arange(4.0, dtype="float32")):
        found = schedule(step, Chosen())
        assert found.dtype == np.float32
        assert found.shape == step.shape


@pytest.mark.parametrize("rise", [0.1, 0.25, 0.3, 0.5, 0.9])
def test_one_cycle_of_few_steps_is_its_closed_form(rise):
    for steps in range(1, 9):
        found = rates(OneCycle(0.1, steps, rise=rise), xpnet.open_backend("numpy", dtype="float64"), range(steps + 1))
        np.testing.assert_allclose(found, [one_cycle(t, 0.1, steps, rise) for t in range(steps + 1)], rtol=1e-12)
        assert found.max() <= 0.1


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
@pytest.mark.parametrize("rate", ["a", None, [0.1], np.ones(3), np.ones(1)], ids=repr)
def test_a_schedule_that_gives_no_number_is_named_before_training(rate):
    with pytest.raises(
        xpnet.ConfigurationError, match=r"learning_rate as a function .* must return a number, or .*<lambda"
    ):
        xpnet.Network([xpnet.Dense(1)], loss="mse", optimizer=xpnet.SGD(lambda step, xp: rate), inputs=1)


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
def test_a_schedule_that_begins_with_a_negative_rate_is_refused(open_backend):
    def make(schedule):
        optimizer = xpnet.SGD(schedule)
        return xpnet.Network([xpnet.Dense(1)], loss="mse", optimizer=optimizer, backend=open_backend("numpy"), inputs=1)

    def rising(step, xp):
        return 0.1 * step - 0.1

    with pytest.raises(xpnet.ConfigurationError, match=r"learning_rate must not be negative; .*rising.* with -0\.1"):
        make(rising)
    net = make(lambda step, xp: 0.1 - 0.05 * step)  # 0 at the last step, and below for a step that is never done
    net.fit(np.ones((2, 1)), np.ones(2), epochs=3, callbacks=[xpnet.ReduceLROnPlateau("loss", patience=1)], verbose=0)
    assert net.learning_rate == pytest.approx(-0.05, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantRate(0), "rate"),
        (lambda: InverseTimeDecay(0.1, -1.0), "decay"),
        (lambda: InverseTimeDecay(float("inf"), 1.0), "rate"),
        (lambda: StepDecay(0.1, every=0), "every"),
        (lambda: StepDecay(0.1, every=5, factor=0.0), "factor"),
        (lambda: ExponentialDecay(0.1, every=1.5), "every"),
        (lambda: CosineDecay(0.1, 0), "steps"),
        (lambda: CosineDecay(0.1, 10, warmup=-1), "warmup"),
        (lambda: OneCycle(0.1, 10, rise=1.0), "rise"),
        (lambda: OneCycle(0.1, 10, start_divisor=0.0), "start_divisor"),
        (lambda: PiecewiseConstant((5,), (0.1,)), "one rate more than boundaries"),
        (lambda: PiecewiseConstant((5, 5), (0.1, 0.2, 0.3)), "must rise"),
        (lambda: PiecewiseConstant((5,), (0.1, -0.2)), "rates"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(xpnet.ConfigurationError, match=message):
        make()

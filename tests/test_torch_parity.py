"""Agreement with PyTorch's autograd, losses and optimizers in float64; every deliberate difference is here too.

``docs/differences.md`` is the list of them in words.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import xpnet
from xpnet import (
    ELU,
    GELU,
    L2,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    BinaryCrossEntropy,
    ClipByNorm,
    ClipByValue,
    CrossEntropy,
    Dense,
    Flatten,
    Hinge,
    Huber,
    Identity,
    LayerNorm,
    LeakyReLU,
    MaxNorm,
    MeanAbsoluteError,
    MeanSquaredError,
    Nadam,
    OneCycle,
    ReLU,
    Reshape,
    Residual,
    RMSProp,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    chain,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(2)
X = RNG.normal(size=(6, 4))
REAL = RNG.normal(size=(6, 3))
LABELS = np.array([0, 2, 1, 1, 2, 0])
SOFT = RNG.dirichlet(np.ones(3), 6)
BITS = (RNG.random((6, 3)) < 0.5).astype(float)
EXACT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(autouse=True)
def wide():
    """PyTorch's NAdam keeps the product of its momenta in the default dtype, whatever the parameters have."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def tensor(values):
    values = np.asarray(values)
    return torch.tensor(values, dtype=torch.float64 if values.dtype.kind == "f" else torch.int64)


def network(layers, **options):
    """Return a network with every parameter and running statistic moved off its start."""
    net = xpnet.Network(layers, **({"loss": "mse", "dtype": "float64", "inputs": 4} | options))
    stream = np.random.default_rng(5)
    net.set_weights({name: stream.uniform(0.5, 1.5, value.shape) * stream.choice([-1, 1], value.shape)
                     if "running" not in name else stream.uniform(0.5, 1.5, value.shape)
                     for name, value in net.get_weights().items()})  # fmt: skip
    return net


def parameters(net):
    """Return the network's parameters as tensors that ask for gradients, by name."""
    statistics = {slot.name for slot in net.state_layout.slots}
    return {name: tensor(value).requires_grad_() for name, value in net.get_weights().items() if name not in statistics}


def dense(x, p, name):
    return F.linear(x, p[f"{name}.weight"].T, p.get(f"{name}.bias"))


def surrounded(function):
    """Dense, the function, Dense."""
    return lambda x, p: dense(function(dense(x, p, "0")), p, "2")


LAYERS = {
    "dense": ([Dense(3)], lambda x, p: dense(x, p, "0")),
    "dense without bias": ([Dense(3, bias=False)], lambda x, p: dense(x, p, "0")),
    **{
        type(layer).__name__: ([Dense(5), layer, Dense(3)], surrounded(function))
        for layer, function in [
            (Identity(), lambda x: x),
            (Sigmoid(), torch.sigmoid),
            (Tanh(), torch.tanh),
            (ReLU(), torch.relu),
            (LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2)),
            (ELU(0.7), lambda x: F.elu(x, 0.7)),
            (GELU(), lambda x: F.gelu(x, approximate="tanh")),
            (SiLU(), F.silu),
            (Softplus(), F.softplus),
            (Softmax(), lambda x: torch.softmax(x, -1)),
        ]
    },
    "BatchNorm": (
        [Dense(5), BatchNorm(), Dense(3)],
        lambda x, p: dense(
            F.batch_norm(dense(x, p, "0"), None, None, p["1.gamma"], p["1.beta"], training=True, eps=1e-5), p, "2"
        ),
    ),
    "LayerNorm": (
        [Dense(5), LayerNorm(), Dense(3)],
        lambda x, p: dense(F.layer_norm(dense(x, p, "0"), (5,), p["1.gamma"], p["1.beta"], eps=1e-5), p, "2"),
    ),
    "BatchNorm over two axes": (
        [Reshape((2, 2)), BatchNorm(), Flatten(), Dense(3)],
        lambda x, p: dense(
            F.batch_norm(x.reshape(-1, 2), None, None, p["1.gamma"], p["1.beta"], training=True).reshape(-1, 4), p, "3"
        ),
    ),
    "dense over two axes": (
        [Reshape((2, 2)), Dense(3), Tanh(), Flatten(), Dense(3)],
        lambda x, p: dense(torch.tanh(dense(x.reshape(-1, 2, 2), p, "1")).reshape(-1, 6), p, "4"),
    ),
    "Residual": (
        [Residual([Dense(4), Tanh()]), Residual([Dense(3)], shortcut=Dense(3, bias=False))],
        lambda x, p: (lambda h: dense(h, p, "1.0") + dense(h, p, "1.shortcut"))(x + torch.tanh(dense(x, p, "0.0"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_forward_and_gradients_are_torchs(case):
    layers, function = LAYERS[case]
    net = network(layers)
    params = parameters(net)
    x = tensor(X).requires_grad_()
    scores = function(x, params)
    loss = F.mse_loss(scores, tensor(REAL))
    loss.backward()
    found = net.trace(X, REAL)
    last = len(layers) - 1
    np.testing.assert_allclose(found[f"{last}.output"], scores.detach(), **EXACT)
    np.testing.assert_allclose(found["loss"], loss.detach(), **EXACT)
    np.testing.assert_allclose(found["input.gradient"], x.grad, **EXACT)
    for name, parameter in params.items():
        np.testing.assert_allclose(found[f"{name}.gradient"], parameter.grad, err_msg=name, **EXACT)


CLASS_WEIGHT = [0.5, 2.0, 1.25]

LOSSES = {
    "labels": (CrossEntropy(), LABELS, {}, F.cross_entropy),
    "labels, sum": (CrossEntropy(reduction="sum"), LABELS, {}, lambda z, t: F.cross_entropy(z, t, reduction="sum")),
    "soft labels": (CrossEntropy(), SOFT, {}, F.cross_entropy),
    "soft labels, sum": (CrossEntropy(reduction="sum"), SOFT, {}, lambda z, t: F.cross_entropy(z, t, reduction="sum")),
    "smoothed labels": (
        CrossEntropy(label_smoothing=0.1), LABELS, {}, lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1)
    ),
    "smoothed soft labels": (
        CrossEntropy(label_smoothing=0.3), SOFT, {}, lambda z, t: F.cross_entropy(z, t, label_smoothing=0.3)
    ),
    "class weights": (
        CrossEntropy(), LABELS, {"class_weight": CLASS_WEIGHT},
        lambda z, t: F.cross_entropy(z, t, weight=tensor(CLASS_WEIGHT)),
    ),
    "class weights, sum": (
        CrossEntropy(reduction="sum"), LABELS, {"class_weight": CLASS_WEIGHT},
        lambda z, t: F.cross_entropy(z, t, weight=tensor(CLASS_WEIGHT), reduction="sum"),
    ),
    "bits": (BinaryCrossEntropy(), BITS, {}, F.binary_cross_entropy_with_logits),
    "shares": (BinaryCrossEntropy(), SOFT, {}, F.binary_cross_entropy_with_logits),
    "mse": (MeanSquaredError(), REAL, {}, F.mse_loss),
    "mae": (MeanAbsoluteError(), REAL, {}, F.l1_loss),
    "huber": (Huber(), REAL, {}, F.huber_loss),
    "huber, delta": (Huber(delta=0.3), REAL, {}, lambda z, t: F.huber_loss(z, t, delta=0.3)),
    "hinge": (Hinge(), LABELS, {}, F.multi_margin_loss),
    "hinge, class weights": (
        Hinge(reduction="sum"), LABELS, {"class_weight": CLASS_WEIGHT},
        lambda z, t: F.multi_margin_loss(z, t, weight=tensor(CLASS_WEIGHT), reduction="sum"),
    ),
    # A sum is over examples; the outputs of one example are always averaged. PyTorch sums over both.
    "mse, sum": (MeanSquaredError(reduction="sum"), REAL, {}, lambda z, t: F.mse_loss(z, t, reduction="sum") / 3),
    "bits, sum": (
        BinaryCrossEntropy(reduction="sum"), BITS, {},
        lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="sum") / 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOSSES)
def test_losses_and_a_step_down_them_are_torchs(case):
    loss, y, options, function = LOSSES[case]
    net = network([Dense(3)], loss=loss, optimizer=SGD(0.1))
    params = parameters(net)
    total = function(dense(tensor(X), params, "0"), tensor(y))
    total.backward()
    found = net.fit(X, y, batch_size=None, verbose=0, **options)
    np.testing.assert_allclose(found["loss"], [total.item()], **EXACT)
    after = net.get_weights()
    for name, parameter in params.items():
        np.testing.assert_allclose(after[name], (parameter - 0.1 * parameter.grad).detach(), err_msg=name, **EXACT)


def test_hinge_with_one_output_is_the_textbooks():
    net = network([Dense(1)], loss="hinge")
    signs = np.array([1, -1, 1, 1, -1, -1])
    params = parameters(net)
    total = torch.relu(1 - tensor(signs) * dense(tensor(X), params, "0")[:, 0]).mean()
    total.backward()
    np.testing.assert_allclose(net.trace(X, signs)["loss"], total.detach(), **EXACT)
    for name, parameter in params.items():
        np.testing.assert_allclose(net.gradients(X, signs)[name], parameter.grad, **EXACT)


def test_class_weights_with_smoothing_weigh_examples_where_torch_weighs_terms():
    """Ours: each example's loss, smoothed, times the weight of its class, over the sum of the weights."""
    net = network([Dense(3)], loss=CrossEntropy(label_smoothing=0.2))
    z = dense(tensor(X), parameters(net), "0").detach()
    weights = tensor(CLASS_WEIGHT)[LABELS]
    ours = (weights * F.cross_entropy(z, tensor(LABELS), label_smoothing=0.2, reduction="none")).sum() / weights.sum()
    theirs = F.cross_entropy(z, tensor(LABELS), label_smoothing=0.2, weight=tensor(CLASS_WEIGHT))
    found = net.fit(X, LABELS, batch_size=None, class_weight=CLASS_WEIGHT, verbose=0)["loss"][0]
    assert found == pytest.approx(ours.item(), rel=1e-12)
    assert abs(found - theirs.item()) > 1e-3


def test_class_weights_of_soft_labels_are_means_over_the_row():
    net = network([Dense(3)], loss=CrossEntropy())
    z = dense(tensor(X), parameters(net), "0").detach()
    weights = tensor(SOFT) @ tensor(CLASS_WEIGHT)
    ours = (weights * F.cross_entropy(z, tensor(SOFT), reduction="none")).sum() / weights.sum()
    theirs = F.cross_entropy(z, tensor(SOFT), weight=tensor(CLASS_WEIGHT))
    found = net.fit(X, SOFT, batch_size=None, class_weight=CLASS_WEIGHT, verbose=0)["loss"][0]
    assert found == pytest.approx(ours.item(), rel=1e-12)
    assert abs(found - theirs.item()) > 1e-3


def test_the_poisson_loss_is_torchs_and_a_term_without_slope():
    counts, net = np.arange(len(X)) % 4.0, network([Dense(1)], loss="poisson")
    z = dense(tensor(X), parameters(net), "0")[:, 0].detach().requires_grad_()
    theirs = F.poisson_nll_loss(z, tensor(counts))
    theirs.backward()
    term = np.mean(np.where(counts > 0, counts * np.log(np.maximum(counts, 1.0)), 0.0) - counts)
    seen = net.trace(X, counts)
    assert float(seen["loss"]) == pytest.approx(theirs.item() + term, rel=1e-12)
    np.testing.assert_allclose(seen["0.output.gradient"][:, 0], z.grad, rtol=1e-12, atol=1e-12)


def test_gelu_is_the_tanh_form_and_not_the_error_function():
    x = np.linspace(-6, 6, 1201)[:, None]
    net = xpnet.Network([Dense(1, weight_initializer="ones"), GELU()], loss="mse", dtype="float64", inputs=1)
    found = np.asarray(net.forward(x))
    off = np.abs(found - F.gelu(tensor(x)).numpy()).max()
    np.testing.assert_allclose(found, F.gelu(tensor(x), approximate="tanh"), atol=1e-14)
    assert 1e-4 < off < 5e-4


OPTIMIZERS = {
    "sgd": (SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (SGD(0.05, momentum=0.9), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)),
    "nesterov": (
        SGD(0.05, momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True)
    ),
    "adam": (Adam(), lambda p: torch.optim.Adam(p)),
    "adam with its own betas": (
        Adam(0.05, beta1=0.8, beta2=0.99, epsilon=1e-6),
        lambda p: torch.optim.Adam(p, 0.05, betas=(0.8, 0.99), eps=1e-6)
    ),
    "rmsprop": (RMSProp(0.01), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9)),
    "adagrad": (Adagrad(), lambda p: torch.optim.Adagrad(p)),
    "adadelta": (Adadelta(), lambda p: torch.optim.Adadelta(p, rho=0.95)),
    "nadam": (Nadam(), lambda p: torch.optim.NAdam(p)),
    "nadam with other numbers": (
        Nadam(0.05, beta1=0.8, beta2=0.99, epsilon=1e-7, momentum_decay=0.01),
        lambda p: torch.optim.NAdam(p, 0.05, betas=(0.8, 0.99), eps=1e-7, momentum_decay=0.01),
    ),
    # Weights decay, biases and norms do not: param groups in PyTorch, the default here.
    "adamw": (AdamW(0.05, weight_decay=0.3), lambda p: torch.optim.AdamW(grouped(p, 0.3), 0.05)),
    "sgd with L2": (chain(L2(0.2), SGD(0.1)), lambda p: torch.optim.SGD(grouped(p, 0.2), 0.1)),
    "momentum with L2": (
        chain(L2(0.2), SGD(0.05, momentum=0.9)), lambda p: torch.optim.SGD(grouped(p, 0.2), 0.05, momentum=0.9)
    ),
    "adam with L2": (chain(L2(0.2), Adam(0.05)), lambda p: torch.optim.Adam(grouped(p, 0.2), 0.05)),
}  # fmt: skip

MODEL = [Dense(5), LayerNorm(), Tanh(), Dense(3)]


def model(x, p):
    return dense(torch.tanh(F.layer_norm(dense(x, p, "0"), (5,), p["1.gamma"], p["1.beta"])), p, "3")


def grouped(params, decay):
    """Put weights, which have two axes, and all others into groups of their own."""
    return [
        {"params": [p for p in params if p.ndim == 2], "weight_decay": decay},
        {"params": [p for p in params if p.ndim != 2], "weight_decay": 0.0},
    ]


def trained(optimizer, make, before_step=lambda params: None, after_step=lambda params: None):
    """Make ten steps here and there; return both sets of parameters."""
    net = network(MODEL, loss="cross_entropy", optimizer=optimizer)
    params = parameters(net)
    theirs = make(list(params.values()))
    for i in range(10):
        rows = (np.arange(4) + i) % 6
        loss = net.train_step(X[rows], LABELS[rows])
        theirs.zero_grad()
        total = F.cross_entropy(model(tensor(X[rows]), params), tensor(LABELS[rows]))
        total.backward()
        before_step(params)
        theirs.step()
        after_step(params)
        assert float(loss) == pytest.approx(total.item(), rel=1e-6)
    return net.get_weights(), {name: parameter.detach().numpy() for name, parameter in params.items()}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_ten_steps_are_torchs(case):
    found, wanted = trained(*OPTIMIZERS[case])
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **EXACT)


def test_clipping_by_value_is_torchs():
    found, wanted = trained(
        chain(ClipByValue(0.05), SGD(0.5)),
        lambda p: torch.optim.SGD(p, 0.5),
        before_step=lambda params: torch.nn.utils.clip_grad_value_(params.values(), 0.05),
    )
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, **EXACT)


def test_clipping_by_norm_is_torchs_without_its_millionth():
    """PyTorch divides by norm + 1e-6, and so clips a little lower than it was told."""

    def exactly(params):
        norm = torch.sqrt(sum((p.grad**2).sum() for p in params.values()))
        for p in params.values():
            p.grad *= 0.1 / max(norm.item(), 0.1)

    exact = trained(chain(ClipByNorm(0.1), SGD(0.5)), lambda p: torch.optim.SGD(p, 0.5), before_step=exactly)
    near = trained(
        chain(ClipByNorm(0.1), SGD(0.5)),
        lambda p: torch.optim.SGD(p, 0.5),
        before_step=lambda params: torch.nn.utils.clip_grad_norm_(params.values(), 0.1),
    )
    for name in exact[1]:
        np.testing.assert_allclose(exact[0][name], exact[1][name], **EXACT)
        np.testing.assert_allclose(near[0][name], near[1][name], atol=1e-5)
    assert any(np.abs(near[0][name] - near[1][name]).max() > 1e-9 for name in near[1])


def test_max_norm_is_torchs_renorm_over_a_units_inputs():
    """PyTorch divides by norm + 1e-7; its weights lie (units, inputs), ours (inputs, units)."""

    def renorm(params):
        for p in params.values():
            if p.ndim == 2:
                p.data = torch.renorm(p.data, 2, 1, 0.9)

    found, wanted = trained(chain(SGD(0.1), MaxNorm(0.9)), lambda p: torch.optim.SGD(p, 0.1), after_step=renorm)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=2e-6)


def test_defaults_that_differ_from_torchs():
    defaults = lambda kind: kind([torch.zeros(1)]).defaults  # noqa: E731
    assert (RMSProp().rho, defaults(torch.optim.RMSprop)["alpha"]) == (0.9, 0.99)
    assert (RMSProp().learning_rate, defaults(torch.optim.RMSprop)["lr"]) == (1e-3, 1e-2)
    assert (Adadelta().rho, defaults(torch.optim.Adadelta)["rho"]) == (0.95, 0.9)
    assert (SGD().learning_rate, defaults(torch.optim.SGD)["lr"]) == (0.01, 1e-3)


def test_defaults_that_are_torchs():
    assert BatchNorm().momentum == 1 - torch.nn.BatchNorm1d(1).momentum
    assert AdamW().weight_decay == torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"]
    schedule = torch.optim.lr_scheduler.OneCycleLR
    assert OneCycle(1.0, 10).start_divisor == inspect.signature(schedule).parameters["div_factor"].default
    assert Huber().delta == torch.nn.HuberLoss().delta


def test_running_statistics_are_torchs_with_the_other_share_of_momentum():
    net = network([BatchNorm(momentum=0.8), Dense(3)], optimizer=SGD(0.1))
    theirs = torch.nn.BatchNorm1d(4, momentum=0.2).double()
    start = net.get_weights()
    with torch.no_grad():
        theirs.weight.copy_(tensor(start["0.gamma"]))
        theirs.bias.copy_(tensor(start["0.beta"]))
        theirs.running_mean.copy_(tensor(start["0.running_mean"]))
        theirs.running_var.copy_(tensor(start["0.running_variance"]))
    stream = np.random.default_rng(8)
    for _ in range(5):
        x = stream.normal(1.0, 2.0, (6, 4))
        theirs(tensor(x))
        net.train_step(x, REAL)
    after = net.get_weights()
    np.testing.assert_allclose(after["0.running_mean"], theirs.running_mean, **EXACT)
    np.testing.assert_allclose(after["0.running_variance"], theirs.running_var, **EXACT)
    with torch.no_grad():
        theirs.weight.copy_(tensor(after["0.gamma"]))
        theirs.bias.copy_(tensor(after["0.beta"]))
    wanted = theirs.eval()(tensor(X)).detach().numpy() @ after["1.weight"] + after["1.bias"]
    np.testing.assert_allclose(net.predict(X), wanted, **EXACT)


def test_a_batch_of_one_normalizes_where_torch_refuses():
    with pytest.raises(ValueError, match="more than 1 value"):
        torch.nn.BatchNorm1d(2)(torch.zeros(1, 2))
    net = xpnet.Network([BatchNorm(), Dense(1)], loss="mse", inputs=2)
    assert np.isfinite(float(net.train_step([[1.0, 2.0]], [1.0])))


@pytest.mark.parametrize(("rise", "steps"), [(0.3, 40), (0.1, 25)])
def test_one_cycle_is_torchs(rise, steps):
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=steps, pct_start=rise, cycle_momentum=False
    )
    ours = OneCycle(0.3, steps, rise=rise)
    for step in range(steps - 1):
        assert float(ours(np.asarray(float(step)), np)) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_every_test_that_the_list_of_differences_names_exists():
    from pathlib import Path
    from re import findall

    here = Path(__file__).parent
    named = set(findall(r"`(test_\w+)", (here.parent / "docs" / "differences.md").read_text(encoding="utf-8")))
    written = {
        name
        for path in here.rglob("test_*.py")
        for name in findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 15
    assert named <= written

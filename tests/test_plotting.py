"""What holds for every picture: where it is drawn, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Network

pytest.importorskip("matplotlib", reason="pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")

from matplotlib.figure import Figure  # noqa: E402

from xpnet import plotting  # noqa: E402

X, Y = xpnet.clouds(20, seed=0)

# Each draws on a network with two inputs and three classes: the panels it needs, and the call.
CALLS: dict[str, tuple[int, Callable[[Network, dict[str, Any]], Any]]] = {
    "plot_activations": (2, lambda net, where: plotting.plot_activations(net, X, Y, **where)),
    "plot_confusion_matrix": (1, lambda net, where: plotting.plot_confusion_matrix(np.eye(3), **where)),
    "plot_curves": (1, lambda net, where: plotting.plot_curves({"loss": [1.0, 0.5]}, **where)),
    "plot_decision_boundary": (1, lambda net, where: plotting.plot_decision_boundary(net, X, Y, **where)),
    "plot_gradients": (2, lambda net, where: plotting.plot_gradients(net, X, Y, **where)),
    "plot_history": (2, lambda net, where: plotting.plot_history({"loss": [1.0], "accuracy": [0.5]}, **where)),
    "plot_network": (1, lambda net, where: plotting.plot_network(net, **where)),
    "plot_weights": (1, lambda net, where: plotting.plot_weights(net, image_shape=(1, 2), **where)),
}
PANELS = {"plot_activations", "plot_gradients", "plot_history"}
NETWORKS = {"plot_activations", "plot_decision_boundary", "plot_gradients", "plot_network", "plot_weights"}


def small_network(backend: Any = "numpy") -> Network:
    return Network([Dense(4), Dense(3)], inputs=2, backend=backend)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    from matplotlib import pyplot

    pyplot.close("all")  # those of other tests
    yield
    pyplot.close("all")


def test_every_function_is_tried_here() -> None:
    assert set(CALLS) == set(plotting.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_a_new_figure_or_the_callers_axes(name: str, backend: xpnet.Backend) -> None:
    from matplotlib import pyplot
    from matplotlib.axes import Axes

    count, draw = CALLS[name]
    net = small_network(backend)
    made = draw(net, {})
    panels = list(made) if name in PANELS else [made]
    assert len(panels) == count
    assert all(isinstance(ax, Axes) for ax in panels)
    assert pyplot.get_fignums() == [panels[0].figure.number]  # so that notebooks and plt.show() find it
    own = list(np.ravel(Figure().subplots(1, count)))
    drawn = draw(net, {"axes": own} if name in PANELS else {"ax": own[0]})
    assert list(drawn if name in PANELS else [drawn]) == own
    assert all(ax.has_data() for ax in own)
    assert pyplot.get_fignums() == [panels[0].figure.number]


@pytest.mark.parametrize("name", CALLS)
def test_settings_and_the_network_stay_as_they_were(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("a figure was shown"))
    settings, net = dict(matplotlib.rcParams), small_network()
    weights, steps = net.get_weights(), net.steps
    _, draw = CALLS[name]
    draw(net, {})
    assert dict(matplotlib.rcParams) == settings
    assert net.steps == steps
    for key, value in net.get_weights().items():
        np.testing.assert_array_equal(value, weights[key])


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_axes_is_refused(name: str) -> None:
    _, draw = CALLS[name]
    with pytest.raises(xpnet.ConfigurationError, match="Axes"):
        draw(small_network(), {"axes": ["a", "b"]} if name in PANELS else {"ax": "a"})


@pytest.mark.parametrize("name", sorted(PANELS))
def test_panels_need_as_many_axes(name: str) -> None:
    count, draw = CALLS[name]
    with pytest.raises(xpnet.ConfigurationError, match=f"each of the {count} panels; got 1"):
        draw(small_network(), {"axes": Figure().subplots()})


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_has_to_be_one_and_built(name: str) -> None:
    _, draw = CALLS[name]
    with pytest.raises(xpnet.NotBuiltError, match=f"{name} needs a built network"):
        draw(Network([Dense(3)]), {})
    with pytest.raises(xpnet.ConfigurationError, match=f"{name} takes an xpnet.Network"):
        draw("net", {})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CALLS)
def test_without_matplotlib_the_error_names_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_network()
    for module in ("matplotlib", "matplotlib.axes"):
        monkeypatch.setitem(sys.modules, module, None)
    _, draw = CALLS[name]
    with pytest.raises(xpnet.MissingExtraError, match=r"pip install 'xpnet\[plot\]'"):
        draw(net, {})


def test_importing_it_imports_no_matplotlib_and_given_axes_no_pyplot() -> None:
    script = (
        "import sys; from xpnet.plotting import plot_curves\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from matplotlib.figure import Figure\n"
        "plot_curves({'loss': [1.0]}, ax=Figure().subplots()).figure.savefig(sys.stdout.buffer, format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=True)
    assert done.stdout.startswith(b"\x89PNG")

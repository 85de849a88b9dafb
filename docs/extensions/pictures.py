"""The ladder's pictures, drawn when the site is built: ``{picture} NAME`` with the alternative text as content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from docutils import nodes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from outer_pages import GENERATED
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import xpnet

BLUE, ORANGE, GREEN = "#2f6db3", "#d9792b", "#3b8f4e"


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Picture(SphinxDirective):
    """An image that a function of this module draws."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(__file__)
        path = GENERATED / "pictures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        figure = DRAWINGS[name]()
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=130)
        uri = f"/{path.relative_to(GENERATED.parent).as_posix()}"
        return [nodes.image(uri=uri, alt=" ".join(self.content))]


def panels(count: int, height: float = 2.6) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(2.6 * count + 0.4, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def neuron() -> Figure:
    """Three inputs, their weights, and what the neuron makes of them."""
    figure = Figure(figsize=(6.0, 2.4), layout="constrained")
    axes = figure.subplots()
    inputs, weights = (1.0, 2.0, 3.0), (0.2, 0.8, -0.5)
    for height, x, w in zip((2, 1, 0), inputs, weights, strict=True):
        axes.annotate("", (2.72, 1), (0.28, height), arrowprops={"arrowstyle": "->", "color": "#888888"})
        place = (1.3, height + (1 - height) * (1.3 - 0.28) / (2.72 - 0.28))
        axes.text(*place, f"\N{MULTIPLICATION SIGN} {w}", ha="center", va="center", backgroundcolor="white")
        axes.text(0, height, f"{x:g}", ha="center", va="center", bbox={"boxstyle": "circle", "fc": "#dbe7f4"})
    axes.text(3, 1, "sum\n+ 2", ha="center", va="center", bbox={"boxstyle": "circle", "fc": "#f6e2d0"})
    axes.annotate("", (4.15, 1), (3.28, 1), arrowprops={"arrowstyle": "->", "color": "#888888"})
    axes.text(4.4, 1, "2.3", ha="center", va="center")
    axes.set(xlim=(-0.4, 4.7), ylim=(-0.5, 2.5))
    axes.axis("off")
    return figure


def activations() -> Figure:
    """The step, the sigmoid and ReLU, each with its slope, as xpnet computes them."""
    z = np.linspace(-4, 4, 401)[:, None]
    figure, found = panels(3)
    for axes, name in zip(found, ("step", "sigmoid", "relu"), strict=True):
        net = xpnet.Network([name, xpnet.Dense(1)], loss="mse", inputs=1, dtype="float64")
        values = net.trace(z, np.zeros(len(z)))["0.output"][:, 0]
        axes.plot(z[:, 0], values, color=BLUE, label="value")
        axes.plot(z[:, 0], np.gradient(values, z[:, 0]), color=ORANGE, linestyle="--", label="slope")
        axes.set(title=name, ylim=(-0.3, 2.2))
        axes.grid(alpha=0.3)
    found[0].lines[1].set_ydata(np.zeros(len(z)))  # a jump has no slope; elsewhere it is 0
    found[0].legend()
    return figure


def cross_entropy() -> Figure:
    """The loss of one example against the probability that its true class got."""
    figure = Figure(figsize=(4.4, 2.8), layout="constrained")
    axes = figure.subplots()
    p = np.geomspace(1e-3, 1, 200)
    axes.plot(p, -np.log(p), color=BLUE)
    for given in (0.7, 0.5, 0.9):
        axes.plot(given, -np.log(given), "o", color=ORANGE)
        axes.annotate(f"{-np.log(given):.3f}", (given, -np.log(given)), (2, 6), textcoords="offset points")
    axes.set(xlabel="probability of the true class", ylabel="-log p", ylim=(-0.2, 5))
    axes.grid(alpha=0.3)
    return figure


VALLEY = np.array([1.0, 12.0])
"""The curvatures of the valley (x² + 12 y²) / 2, in which the optimizers walk."""


def walk(optimizer: Any, steps: int) -> np.ndarray:
    """Return the points of a walk down the valley by one of xpnet's own optimizers."""
    from xpnet.optimizers import Now, rate_at
    from xpnet.parameters import Layout, Param

    xp = xpnet.open_backend("numpy", dtype="float64").xp
    layout = Layout({"point": Param((2,), xpnet.Zeros())})
    point, path = np.array([-3.0, 0.9]), []
    state = optimizer.init(point.copy(), layout, xp)
    for step in range(steps):
        path.append(point.copy())
        rate = rate_at(optimizer.learning_rate, np.asarray(float(step)), xp)
        now = Now(np.asarray(rate), np.asarray(step + 1.0), layout, xp)
        _, point, state = optimizer.update(VALLEY * point, point, state, now)
    return np.array(path)


def descent() -> Figure:
    """Three optimizers in the same valley."""
    figure, found = panels(3)
    x, y = np.meshgrid(np.linspace(-3.3, 1, 100), np.linspace(-1.2, 1.2, 100))
    walks = {
        "SGD(0.15)": xpnet.SGD(0.15),
        "SGD(0.05, momentum=0.8)": xpnet.SGD(0.05, momentum=0.8),
        "Adam(0.3)": xpnet.Adam(0.3),
    }
    for axes, (name, optimizer) in zip(found, walks.items(), strict=True):
        axes.contour(x, y, (VALLEY[0] * x**2 + VALLEY[1] * y**2) / 2, 12, colors="#bbbbbb", linewidths=0.7)
        axes.plot(*walk(optimizer, 40).T, "o-", markersize=3, linewidth=1, color=BLUE)
        axes.plot(0, 0, "+", color=ORANGE, markersize=12)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    return figure


def spiral() -> Figure:
    """The page's network before and after training, and its loss."""
    x, y = xpnet.spiral(points=100, arms=3, seed=0)
    net = xpnet.Network([xpnet.Dense(64), "relu", xpnet.Dense(3)], optimizer=xpnet.Adam(0.05), inputs=2, seed=0)
    figure, (before, after, curve) = panels(3)
    boundary(before, net, x, y, "before")
    history = net.fit(x, y, epochs=1000, batch_size=None, verbose=0)
    boundary(after, net, x, y, "after 1,000 epochs")
    curve.plot(history["loss"], color=BLUE)
    curve.set(title="loss", yscale="log", xlabel="epoch")
    curve.grid(alpha=0.3)
    return figure


def boundary(axes: Any, net: Any, x: np.ndarray, y: np.ndarray, title: str) -> None:
    side = np.linspace(-1.1, 1.1, 220)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    colors = [BLUE, ORANGE, GREEN]
    classes = net.classify(grid.reshape(-1, 2)).reshape(len(side), -1)
    axes.contourf(side, side, classes, [-0.5, 0.5, 1.5, 2.5], colors=colors, alpha=0.3)
    axes.scatter(*x.T, c=[colors[label] for label in y], s=4)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")


DRAWINGS: dict[str, Callable[[], Figure]] = {
    drawing.__name__: drawing for drawing in (neuron, activations, cross_entropy, descent, spiral)
}

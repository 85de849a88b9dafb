"""Pictures of training and of networks, drawn with matplotlib (extra ``plot``).

Each function draws into the ``ax`` (or ``axes``) that it is given, or into a new pyplot figure, and returns it,
so that everything about the picture can still be changed. None shows a figure, needs a screen, or changes
matplotlib's settings; colours are those that colour-blind readers can tell apart. Networks of any backend are
taken, and left as they were.

Where scikit-learn draws the same picture, arguments have the names of its displays. Its own displays take the
estimators of :mod:`xpnet.sklearn`.
"""

from __future__ import annotations

from xpnet.plotting.boundary import plot_decision_boundary
from xpnet.plotting.confusion import plot_confusion_matrix
from xpnet.plotting.curves import plot_curves, plot_history
from xpnet.plotting.diagram import plot_network
from xpnet.plotting.traces import plot_activations, plot_gradients
from xpnet.plotting.weights import plot_weights

__all__ = [
    "plot_activations",
    "plot_confusion_matrix",
    "plot_curves",
    "plot_decision_boundary",
    "plot_gradients",
    "plot_history",
    "plot_network",
    "plot_weights",
]

"""Show the progress of training: a live bar where rich is installed, otherwise one plain line per epoch."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.callbacks import Callback, Logs
from xpnet.errors import ConfigurationError

__all__ = ["Progress", "choose_progress", "describe"]


class Progress(Callback):
    """Print one plain line per epoch on standard output.

    Attributes
    ----------
    last : int
        The network's epochs when training is over, which the training loop sets where it knows how many there were.
    """

    def __init__(self, epochs: int) -> None:
        self.last = epochs

    def resume(self, folder: Path, begun: int) -> None:
        """Say where a run goes on, of which the network has seen *begun* epochs before, or that it has ended."""
        done = self.network.epochs - begun
        after = f"after {done} epoch{'' if done == 1 else 's'}"
        if self.network.stop_training:
            self._print(f"nothing is trained: the run in {folder} was stopped {after}")
        elif self.network.epochs >= self.last:
            self._print(f"nothing is trained: the run in {folder} ended {after}; a larger number of epochs goes on")
        else:
            self._print(f"going on with the run in {folder}, {after}")

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print the line."""
        self._print(self._line(epoch, logs))

    def advance(self, done: int, total: int | None) -> None:
        """Show that *done* of *total* steps are done."""

    def _print(self, line: str) -> None:
        print(line, flush=True)

    def _line(self, epoch: int, logs: Logs) -> str:
        width = len(str(self.last))
        seconds = time.perf_counter() - self._began
        return f"epoch {epoch + 1:{width}d}/{self.last}  {describe(logs)}  {seconds:.2f} s"


class RichProgress(Progress):
    """Print the same lines, and below them a bar for the current epoch."""

    def on_train_begin(self, logs: Logs) -> None:
        """Open the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bars, TextColumn, TimeRemainingColumn

        self._bars: Any = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
        )
        self._bars.start()
        self._task = self._bars.add_task("")

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Reset the bar."""
        super().on_epoch_begin(epoch, logs)
        self._bars.reset(self._task, description=f"epoch {epoch + 1}/{self.last}")

    def advance(self, done: int, total: int | None) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=done, total=total)

    def on_train_end(self, logs: Logs) -> None:
        """Remove the bar."""
        self._bars.stop()

    def on_train_interrupted(self, logs: Logs) -> None:
        """Remove the bar."""
        self._bars.stop()

    def _print(self, line: str) -> None:
        """Print above the bar."""
        self._bars.console.print(line, highlight=False, markup=False, soft_wrap=True)


def choose_progress(epochs: int, verbose: int | str) -> Progress | None:
    """Return the progress display for ``verbose``: 0 none, 1 plain lines, 2 a live bar, "auto" the bar on a terminal.

    Without rich there are plain lines instead of a bar.
    """
    if not isinstance(verbose, int | np.integer | str) or verbose not in (0, 1, 2, "auto"):
        raise ConfigurationError(f"verbose must be 0 (silent), 1 (lines), 2 (a live bar) or 'auto'; got {verbose!r}")
    if not verbose:
        return None
    # A program without a console, as of pythonw, has no standard output; plain lines go nowhere there.
    bar = sys.stdout is not None and (verbose == 2 or (verbose == "auto" and sys.stdout.isatty()))
    return RichProgress(epochs) if bar and _has_rich() else Progress(epochs)


def describe(logs: Logs) -> str:
    """Return results in a line, the learning rate left out.

    >>> describe({"loss": 0.25, "val_accuracy": 0.5, "learning_rate": 0.1})
    'loss 0.2500  val_accuracy 0.5000'
    """
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name != "learning_rate")


def _has_rich() -> bool:
    from importlib.util import find_spec

    return find_spec("rich") is not None

"""The results of training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from xpnet.errors import did_you_mean, unknown_attribute

__all__ = ["History"]


class History(dict[str, list[float]]):
    """Results of every epoch by name: ``history["val_loss"][-1]`` is the last epoch's.

    Holds ``loss``, the metrics, the same with ``val_`` where there was validation, and ``learning_rate``, the
    rate of the epoch's last step.
    """

    def copy(self) -> History:
        """Return a history that holds the same lists."""
        return History(self)

    def append(self, logs: Mapping[str, float], epochs: int | None = None) -> None:
        """Add an epoch after the existing ones, or after the first *epochs*; with these, repeating it changes nothing.

        A new result gets NaN for the epochs before, and a missing one NaN for this epoch.
        """
        epochs = self.epochs if epochs is None else epochs
        self._begin(logs, epochs)
        for name, values in self.items():
            values[epochs:] = [float(logs.get(name, float("nan")))]

    def _begin(self, logs: Mapping[str, float], epochs: int) -> None:
        """Give new results NaN for the epochs before."""
        for name in [name for name in logs if name not in self]:
            self[name] = [float("nan")] * epochs

    def revise(self, logs: Mapping[str, float]) -> None:
        """Replace these results of the last epoch."""
        self._begin(logs, self.epochs)
        for name, value in logs.items():
            self[name][-1] = float(value)

    def cut(self, epochs: int) -> None:
        """Remove all but the first *epochs*."""
        for values in self.values():
            del values[epochs:]

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return max((len(values) for values in self.values()), default=0)

    def _repr_html_(self) -> str:
        from xpnet.html import history_html

        return history_html(self)

    def __missing__(self, name: str) -> NoReturn:
        hint = did_you_mean(str(name), self) or "."
        raise KeyError(f"no result {name!r}{hint} There are {', '.join(self) or 'none before an epoch has ended'}")

    if not TYPE_CHECKING:  # type checkers must see only attributes that exist

        def __getattr__(self, name: str) -> NoReturn:
            if name in self:
                raise AttributeError(f"results go by name: history[{name!r}]", name=name, obj=self)
            raise unknown_attribute("History", name, self)

"""Callbacks that write each epoch's results to a file."""

from __future__ import annotations

import csv
import io
import json
import math
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xpnet
from xpnet.arguments import explains_arguments
from xpnet.atomic_write import replace_file
from xpnet.callbacks import Callback, Logs, check_folder
from xpnet.checks import StrPath, check_flag, check_path
from xpnet.errors import ConfigurationError

__all__ = ["CSVLogger", "JSONLinesLogger"]

EPOCH = "epoch"
"""The name of an epoch's number."""


class _Logger(Callback):
    """Base of the callbacks that write one line per epoch.

    The file of an earlier run is only cut when the first new line is written, so that a run which goes on in another
    process still finds its own lines. An epoch that has ended gets its line even if Ctrl-C or an error of another
    callback comes before or during the writing.
    """

    @explains_arguments
    def __init__(self, path: StrPath, *, append: bool = False) -> None:
        name = type(self).__name__
        self.path, self.append = check_path(f"{name}.path", path), check_flag(f"{name}.append", append)
        self._start: int | None = None  # where to cut the file before writing the next line; None: nowhere
        self._epochs = 0  # epochs of the network that have been written

    def set_network(self, network: xpnet.Network) -> None:
        """Remember the network; its epochs so far need no lines."""
        super().set_network(network)
        self._epochs = network.epochs

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the file can be written."""
        _check_writable(f"{type(self).__name__}.path", self.path)
        self._start = None if self.append else 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add a line."""
        self._write(self._line(epoch, logs), epoch + 1)

    def on_train_interrupted(self, logs: Logs) -> None:
        """Add the line of an epoch that has ended, if it is missing."""
        if logs and self.network.epochs > self._epochs:
            self.on_epoch_end(self.network.epochs - 1, logs)

    def on_train_end(self, logs: Logs) -> None:
        """Leave an empty file if there was no epoch."""
        self._write("", self._epochs)

    def state(self) -> dict[str, Any]:
        """Return the length of the file in bytes."""
        return {"bytes": self.path.stat().st_size if self._start is None else self._start}

    def restore(self, state: dict[str, Any]) -> None:
        """Drop lines of epochs that will be trained anew."""
        self._start = min(state["bytes"], self.path.stat().st_size)
        self._epochs = self.network.epochs

    def _empty(self) -> bool:
        """Whether the next line is the file's first."""
        return self._start == 0 if self._start is not None else not self.path.exists() or not self.path.stat().st_size

    def _write(self, text: str, epochs: int) -> None:
        """Append text; then so many of the network's epochs have been written."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            if self._start is not None:
                file.truncate(self._start)
            elif file.seekable():  # which pipes are not
                self._start = file.tell()  # if this is interrupted, the text is written again
            file.write(text)
            file.flush()  # so that nothing is written later, from a file that was not closed
        self._epochs = epochs
        self._start = None

    @abstractmethod
    def _line(self, epoch: int, logs: Logs) -> str:
        """Return the line of an epoch, with a header row above it if it is the first."""


class JSONLinesLogger(_Logger):
    """Write each epoch's results as one line of JSON; a file of an earlier run is continued with ``append``.

    Raises
    ------
    ConfigurationError
        ``path`` is no path, or ``append`` is neither True nor False; in ``fit``, the path's folder is missing, or the
        file cannot be written.
    """

    def _line(self, epoch: int, logs: Logs) -> str:
        """Return a line; a result that is not finite becomes null, as JSON has no NaN."""
        row = {name: value if math.isfinite(value) else None for name, value in logs.items()}
        return json.dumps({EPOCH: epoch, **row}) + "\n"


class CSVLogger(_Logger):
    """Write each epoch's results as a row of CSV, with a header row; ``append`` continues an earlier file.

    Values stand in the columns that the header names. A cell is empty where an epoch lacks the result; a result that
    the header lacks adds a column, for which the whole file is written anew, the earlier rows with an empty cell.

    Raises
    ------
    ConfigurationError
        ``path`` is no path, or ``append`` is neither True nor False; in ``fit``, the path's folder is missing, the file
        cannot be written, or what ``append`` is to continue is no such file.
    """

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the file can be written, and with ``append`` that it can be continued."""
        super().on_train_begin(logs)
        if not self._empty():
            try:
                header = self._header()
            except (ValueError, csv.Error):
                header = []
            if EPOCH not in header:
                raise ConfigurationError(
                    f"CSVLogger.path='{self.path}' must be a file that a CSVLogger has written, where append=True; its "
                    f"first line names no column {EPOCH!r}: name another file, or leave out append"
                )

    def state(self) -> dict[str, Any]:
        """Return the number of lines in the file, which does not change when columns are added."""
        content = self.path.read_bytes()
        return {"lines": len((content if self._start is None else content[: self._start]).splitlines())}

    def restore(self, state: dict[str, Any]) -> None:
        """Drop lines of epochs that will be trained anew."""
        self._start = sum(map(len, self.path.read_bytes().splitlines(keepends=True)[: state["lines"]]))
        self._epochs = self.network.epochs

    def _line(self, epoch: int, logs: Logs) -> str:
        """Return a row in the columns of the file's header, to which missing columns are added first."""
        cells = {EPOCH: epoch, **logs}
        if self._empty():
            return _as_csv([cells, cells.values()])
        columns = self._header()
        if lacking := [name for name in cells if name not in columns]:
            columns += lacking
            self._widen(columns)
        return _as_csv([[cells.get(name, "") for name in columns]])

    def _widen(self, columns: list[str]) -> None:
        """Rewrite the file with more columns, whose cells are empty so far."""
        self._write("", self._epochs)  # cuts the lines of epochs that are trained again
        with self.path.open(encoding="utf-8", newline="") as file:
            earlier = list(csv.reader(file))[1:]
        filled = [[*cells, *[""] * (len(columns) - len(cells))] for cells in earlier]
        replace_file(self.path.resolve(), [_as_csv([columns, *filled]).encode()], ConfigurationError)

    def _header(self) -> list[str]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])


def _as_csv(rows: Iterable[Iterable[Any]]) -> str:
    content = io.StringIO()
    csv.writer(content).writerows(rows)
    return content.getvalue()


def _check_writable(name: str, path: Path) -> None:
    """Raise ConfigurationError if the file cannot be written; create it if there is none."""
    check_folder(name, path)
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise ConfigurationError(f"{name}='{path}' cannot be written ({error.strerror}); name another file") from error

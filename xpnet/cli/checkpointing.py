"""``xpnet train --checkpoint DIR``: training that can be continued after its process has ended.

Beside the checkpoints of ``fit``, a record of the options and the data that training started with is kept. Training is
only continued with the same ones: ``fit`` itself compares networks, but of the data only the numbers of rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.atomic_write import replace_file
from xpnet.callbacks import Callback
from xpnet.cli.options import SAVING
from xpnet.cli.output import note
from xpnet.cli.tables import plural
from xpnet.errors import CheckpointError, DataError
from xpnet.resuming import FILES

__all__ = ["Checkpoints"]

EVERY = f"{SAVING / 60} minutes"
"""How often to save."""

RECORD = "training.json"
"""The record's name."""

COMPARED = (
    "target", "task", "drop", "categorical", "test", "validation", "balanced", "hidden", "activation", "dropout",
    "dtype", "precision", "patience", "batch_size", "optimizer", "learning_rate", "seed",
)  # fmt: skip
"""Options that decide what is trained; how long, and on which device, may change."""


class Checkpoints:
    """The folder in which a training keeps its checkpoints, if there is one.

    Parameters
    ----------
    options : argparse.Namespace
        Those of ``xpnet train``.
    data : arrays
        The prepared data.

    Raises
    ------
    DataError
        The folder holds another training, or something else.
    """

    def __init__(self, options: argparse.Namespace, *data: Any) -> None:
        self.folder: Path | None = options.checkpoint
        self.quiet = options.quiet
        if self.folder is None:
            return
        told = {name: getattr(options, name) for name in COMPARED}
        self._record: dict[str, Any] = json.loads(json.dumps({**told, "data": _digest(data)}))
        if self.newest():
            self._compare(self.folder / RECORD)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for ``fit``."""
        return {} if self.folder is None else {"checkpoint": self.folder, "resume": True, "every": EVERY}

    def callbacks(self) -> list[Callback]:
        """Return the callbacks for ``fit``."""
        return [] if self.folder is None else [_Recorder(self.folder, self._record, self.quiet)]

    def newest(self) -> Path | None:
        """Return the newest checkpoint."""
        return None if self.folder is None else max(self.folder.glob(FILES), default=None)

    def how_to_continue(self) -> str:
        """Say, after Ctrl-C, how to continue the training."""
        if self.folder is None:
            return ""
        newest = self.newest()
        return f"; the same command goes on from {newest}" if newest else f"; nothing was kept in {self.folder} yet"

    def _compare(self, path: Path) -> None:
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
            changed = [name for name, value in self._record.items() if there[name] != value]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(
                f"--checkpoint {self.folder} holds checkpoints, and no {RECORD} that says which training they are of; "
                "name another folder"
            ) from None
        if changed:
            name = changed[0]
            option = f"{_written(name, there[name])}, and not {_written(name, self._record[name])}"
            raise DataError(
                f"--checkpoint {self.folder} holds a training that was begun with "
                f"{'other data' if name == 'data' else option}; give what it was begun with, or name another folder"
            )


class _Recorder(Callback):
    """Writes the record once the folder is locked; notes what is continued, which progress would tell otherwise."""

    def __init__(self, folder: Path, record: dict[str, Any], quiet: bool) -> None:
        self.folder, self.record, self.quiet, self.epochs = folder, record, quiet, 0

    def on_train_begin(self, logs: Any) -> None:
        if not any(self.folder.glob(FILES)):
            text = json.dumps(self.record, indent=1, ensure_ascii=False)
            replace_file(self.folder / RECORD, [text.encode()], CheckpointError)

    def restore(self, state: Any) -> None:
        if self.quiet:
            note(f"going on with the run in {self.folder}, after {plural(self.network.epochs, 'epoch')}")

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.epochs += 1

    def on_train_end(self, logs: Any) -> None:
        if self.quiet and not self.epochs:
            cause = ", by --patience" if self.network.stop_training else ""
            note(f"nothing is trained: the run had ended after {plural(self.network.epochs, 'epoch')}{cause}")


def _digest(data: tuple[Any, ...]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in data:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _written(name: str, value: Any) -> str:
    """Return an option as it is written on the command line, or say that it is not given."""
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return option
    if value is None or value is False or value == []:
        return f"no {option}"
    return f"{option} {','.join(map(str, value)) if isinstance(value, list) else value}"

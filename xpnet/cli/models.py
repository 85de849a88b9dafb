"""Model files of the command line: a network, and a note in the same file on how to prepare its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from xpnet.checkpoint import load, read_notes, save
from xpnet.cli.output import note
from xpnet.cli.parser import UsageError
from xpnet.cli.preparation import Preparation
from xpnet.cli.tables import Table, listed, plural, shown
from xpnet.cli.target import Target
from xpnet.errors import CheckpointError, DataError
from xpnet.records import record

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = [
    "Model",
    "apply_unknown_option",
    "check_size",
    "check_threshold",
    "load_model",
    "read_preparation",
    "save_model",
]

NOTE = "table"
"""The note's name."""

LARGEST_NOTE = 1 << 19
"""Bytes of the note in the file: half of what a checkpoint's header may have."""


@record
class Model:
    """A network with the preparation of its data."""

    network: Network
    preparation: Preparation


def check_size(preparation: Preparation) -> None:
    """Raise DataError if a preparation is too large for a model file."""
    size = len(json.dumps(preparation.to_json()))
    if size > LARGEST_NOTE:
        raise DataError(
            f"the data's columns, categories and scales take {size:,} bytes, more than the {LARGEST_NOTE:,} that a "
            "model file holds; --drop columns, or train in Python (xpnet.Network)"
        )


def check_threshold(target: Target, threshold: tuple[str, float] | None) -> None:
    """Raise UsageError if a threshold is given, and *target* has not two classes, or none of that name."""
    if threshold is None:
        return
    if target.classes is None or len(target.classes) != 2:
        held = "is a quantity" if target.classes is None else f"has {len(target.classes)}"
        raise UsageError(f"--threshold chooses between two classes, and {target.name!r} {held}; leave it out")
    if threshold[0] not in target.classes:
        raise UsageError(
            f"--threshold must name a class of {target.name!r}: {' or '.join(map(shown, target.classes))}; "
            f"got {threshold[0]!r}"
        )


def save_model(model: Model, path: Path) -> None:
    """Write network and preparation to one file."""
    save(model.network, path, notes={NOTE: model.preparation.to_json()})


def load_model(path: str, *, backend: str = "numpy", device: object = None) -> Model:
    """Read a file that ``xpnet train`` wrote.

    Raises
    ------
    CheckpointError
        It is no such file, or network and preparation do not fit together.
    """
    try:
        network = load(path, backend=backend, device=device)
    except CheckpointError as error:
        if Path(path).suffix == ".safetensors" or not Path(path).is_file():
            raise
        raise CheckpointError(f"{error}; the model file, which xpnet train wrote, comes first") from error
    preparation = read_preparation(path)
    if preparation is None:
        raise CheckpointError(
            f"{path} does not say how its data is prepared: it is no model file of xpnet train, as its checkpoints are "
            "none; use xpnet.load in Python"
        )
    classes = preparation.target.classes
    outputs = 1 if classes is None else len(classes)
    if (network.in_shape, network.out_shape) != ((preparation.width,), (outputs,)):
        raise CheckpointError(
            f"{path}: the network takes {network.in_shape} and gives {network.out_shape}, but its preparation gives "
            f"({preparation.width},) and takes ({outputs},)"
        )
    if (classes is not None) != hasattr(network.loss, "classify"):
        raise CheckpointError(f"{path}: the loss {network.loss} does not fit the target {preparation.target.name!r}")
    return Model(network, preparation)


def read_preparation(path: str) -> Preparation | None:
    """Return how a file's data is prepared; None for a network that ``xpnet train`` did not write.

    Raises
    ------
    CheckpointError
        The file, or the preparation in it, cannot be read.
    """
    described = read_notes(path).get(NOTE)
    return None if described is None else Preparation.from_json(described)


def apply_unknown_option(table: Table, model: Model, unknown: str) -> Table:
    """Return the table; if *unknown* is ``"missing"``, texts that training never saw become missing, with a note."""
    if unknown == "error":
        return table
    table, found = model.preparation.with_unknown_as_missing(table)
    for name, counts in found.items():
        note(
            f"column {name!r}: {plural(counts.total(), 'row')} with what training never saw ({listed(sorted(counts))}) "
            "taken as missing values"
        )
    return table

"""Check that layers, losses and optimizers are frozen dataclasses that a file can hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from xpnet.checkpoint import KNOWN, OWN, from_config, to_config
from xpnet.errors import XpnetError
from xpnet.testing.comparing import CheckError, require

__all__ = ["check_record", "classes_of"]


def check_record(record: Any, where: str) -> None:
    """Raise CheckError unless *record* is a frozen dataclass that JSON, as in files, gives back equal."""
    for cls in classes_of(record):
        frozen = dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        require(frozen, where, f"{cls.__name__} must be a dataclass(frozen=True), to be compared, printed and saved")
    known = KNOWN | {OWN + cls.__name__: cls for cls in classes_of(record)}
    try:
        again = from_config(json.loads(json.dumps(to_config(record, where), allow_nan=False)), known)
    except (XpnetError, TypeError, ValueError) as error:  # __init__ may take other arguments than the fields
        raise CheckError(f"{where}: cannot be saved and loaded: {error}") from error
    require(again == record, where, f"comes back from a file as {again}")


def classes_of(value: Any) -> Iterator[type]:
    """Yield the classes of a record and of the records in its fields."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from classes_of(item)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield type(value)
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from classes_of(getattr(value, field.name))

"""Optional libraries: imported where they are first needed, or an error that says how to get them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from xpnet.errors import MissingExtraError

__all__ = ["import_extra"]


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Return *module*, which the package's *extra* installs.

    Raises
    ------
    MissingExtraError
        It cannot be imported; the message says what for, why, and the command that installs it.

    Examples
    --------
    >>> import_extra("json", "json", "reading JSON").loads("[1]")
    [1]
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module.partition('.')[0]}, which cannot be imported ({error}); "
            f"run: pip install 'xpnet[{extra}]'"
        ) from error

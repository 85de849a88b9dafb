"""All exceptions that xpnet raises on purpose, one type per cause, apart from AttributeError and KeyError.

Each is an :class:`XpnetError` and also the built-in type that a caller would expect, so
``except ValueError`` keeps working in code that never heard of xpnet. A message says which argument was
wrong, what was expected, what was given, and how to fix it.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ArgumentError",
    "BackendError",
    "CheckpointError",
    "ConfigurationError",
    "DataError",
    "DatasetError",
    "DtypeError",
    "ExportError",
    "MissingExtraError",
    "NonFiniteError",
    "NotBuiltError",
    "ShapeError",
    "XpnetError",
    "did_you_mean",
    "nearest",
    "shown",
    "unknown_attribute",
    "unknown_name",
]


class XpnetError(Exception):
    """Base of every exception that xpnet raises on purpose."""


class ArgumentError(XpnetError, TypeError):
    """A call has an argument that is not known, or lacks one that is needed."""


class BackendError(XpnetError, RuntimeError):
    """An array library, a device, a GPU or the memory that was asked for is not available."""


class ConfigurationError(XpnetError, ValueError):
    """A hyper-parameter, a name or a combination of layers and losses makes no sense."""


class ShapeError(XpnetError, ValueError):
    """An array has the wrong rank, the wrong number of features or the wrong length."""


class DataError(XpnetError, ValueError):
    """The values of an array are unusable: empty, not finite, labels out of range, bad weights."""


class DtypeError(XpnetError, TypeError):
    """An array holds text, objects or complex numbers where real numbers are needed."""


class ExportError(XpnetError, ValueError):
    """A network holds something that another format cannot express."""


class MissingExtraError(XpnetError, ImportError):
    """A library that this part of xpnet builds on, one of its extras, cannot be imported."""


class NonFiniteError(XpnetError, FloatingPointError):
    """A loss, a gradient or a weight became NaN or infinite in training."""


class NotBuiltError(XpnetError, RuntimeError):
    """A network was asked for something that needs its input shape before it knew one."""


class CheckpointError(XpnetError, ValueError):
    """A file is missing, damaged, or not an xpnet checkpoint."""


class DatasetError(XpnetError, OSError):
    """A data set is neither on this machine nor obtainable, or its files are damaged."""


def shown(value: object) -> str:
    """Return a value's representation for a message, on one line; of an array or frame, which take many, the shape.

    >>> import numpy as np
    >>> shown(np.ones((2, 3))), shown("cat"), shown(np.float64(2.5))
    ('an array of shape (2, 3)', "'cat'", 'np.float64(2.5)')
    """
    shape = None if isinstance(value, type) else getattr(value, "shape", None)
    if shape and hasattr(value, "dtype"):
        return f"an array of shape {tuple(shape)}"
    text = repr(value)
    if "\n" not in text:
        return text
    if shape:
        return f"a {type(value).__name__} of shape {tuple(shape)}"
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text:.60}..."


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the one of *known* that is most similar to *name*, ignoring case, by ``difflib``'s measure; or None.

    >>> nearest("width", ["WIDTH", "height"]), nearest("width", ["color"])
    ('WIDTH', None)
    """
    spelling = {item.lower(): item for item in known}
    if not spelling:
        return None
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), spelling, n=1, cutoff=cutoff)
    return spelling[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """Ask whether the one of *known* that is similar to *name*, or begins with it, was meant; empty if there is none.

    >>> did_you_mean("Relu", ["Dense", "ReLU"]), did_you_mean("acc", ["loss", "accuracy"]), did_you_mean("a", [])
    ("; did you mean 'ReLU'?", "; did you mean 'accuracy'?", '')
    """
    known = list(known)
    longer = (item for item in known if len(name) > 1 and item.lower().startswith(name.lower()))
    meant = nearest(name, known, cutoff) or next(longer, None)
    return f"; did you mean {meant!r}?" if meant else ""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ConfigurationError:
    """Return the error for a *name* that is not among *known*, with the nearest one suggested.

    >>> str(unknown_name("loss", "crossentropy", ["cross_entropy", "mse"]))
    "unknown loss 'crossentropy'; did you mean 'cross_entropy'? Known: cross_entropy, mse"
    >>> str(unknown_name("initializer", "he", ["he_normal", "he_uniform", "zeros"]))
    "unknown initializer 'he'; did you mean 'he_normal'? Known: he_normal, he_uniform, zeros"
    """
    from xpnet.foreign_names import OBJECT_NAMES

    known = sorted(known)
    meant = OBJECT_NAMES.get(str(name).lower())
    hint = did_you_mean(meant if meant in known else str(name), known, 0.5) or "."
    return ConfigurationError(f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}")


def unknown_attribute(owner: str, name: str, holder: object = None, known: Iterable[str] = ()) -> AttributeError:
    """Return the error for an attribute that an object of the class *owner*, or the package itself, does not have.

    Where another library has it, the error says what to do here. With the *holder*, Python suggests attributes.

    >>> str(unknown_attribute("Network", "predict_proba"))
    "'Network' object has no attribute 'predict_proba': net.predict(x) gives probabilities"
    >>> str(unknown_attribute("xpnet", "Denes", known=["Dense", "ReLU"]))
    "module 'xpnet' has no attribute 'Denes'; did you mean 'Dense'?"
    """
    from xpnet.foreign_names import ATTRIBUTE_ADVICE

    advice = ATTRIBUTE_ADVICE.get(f"{owner}.{name}")
    hint = f": {advice}" if advice else did_you_mean(name, known)
    what = "module 'xpnet'" if owner == "xpnet" else f"{(owner if holder is None else type(holder).__name__)!r} object"
    return AttributeError(f"{what} has no attribute {name!r}{hint}", name=name, obj=holder)

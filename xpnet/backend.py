"""The door to the array libraries: a :class:`Backend` record and :func:`open_backend`.

Everything that differs between array libraries is a field of :class:`Backend`; nothing else in xpnet asks
which library it runs on. Backends, ours and anybody's, are found through the entry-point group
``xpnet.backends``. ``backends/README.md`` is the guide to writing one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from xpnet.arguments import explains_arguments
from xpnet.errors import BackendError, ConfigurationError, XpnetError, unknown_name
from xpnet.records import record

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import numpy as np

__all__ = [
    "Array",
    "Backend",
    "BackendInfo",
    "BackendModule",
    "Namespace",
    "available_backends",
    "open_backend",
]

Array = Any
"""An array of whichever library the backend opens."""

ENTRY_POINT_GROUP = "xpnet.backends"
DTYPES = ("float32", "float64")
BFLOAT16 = "bfloat16"

CREATION = ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros")
"""Functions that make an array from nothing, and so have to be told the device."""

STANDARD = frozenset(
    # https://data-apis.org/array-api/2024.12/API_specification/
    """
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
    e inf nan newaxis pi
    astype can_cast finfo iinfo isdtype result_type
    empty_like full_like ones_like zeros_like tril triu meshgrid from_dlpack
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor
    floor_divide greater greater_equal hypot imag isfinite isinf isnan less less_equal log log10 log1p log2
    logaddexp logical_and logical_not logical_or logical_xor maximum minimum multiply negative not_equal
    positive pow real remainder round sign signbit sin sinh sqrt square subtract tan tanh trunc
    take take_along_axis matmul matrix_transpose tensordot vecdot
    broadcast_arrays broadcast_to concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze
    stack tile unstack argmax argmin count_nonzero nonzero searchsorted where argsort sort
    cumulative_prod cumulative_sum max mean min prod std sum var all any diff
    """.split()
)
"""The Array API names that a namespace offers, so that no code can lean on one library's extras."""


class Namespace:
    """An Array API namespace bound to one device, with the extension ``nn`` (see :mod:`xpnet.nn`)."""

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self.__dict__.update(members)
        self.__dict__["__name__"] = name

    def __getattr__(self, name: str) -> Any:
        owner = self.__dict__.get("__name__", "a library")  # empty while it is being copied
        raise AttributeError(f"the Array API namespace of {owner} has no {name!r}")

    def __repr__(self) -> str:
        return f"<Array API namespace of {self.__dict__['__name__']}>"


def _compile_nothing(function: Callable[..., Any], donated: bool = False) -> Callable[..., Any]:
    return function


def _synchronize_nothing() -> None:
    return None


@dataclass(frozen=True, eq=False)
class Backend:
    """One array library on one device in one floating-point type. A record: it does no mathematics.

    Attributes
    ----------
    name : str
        The name it is opened by, such as ``"numpy"``.
    xp : Namespace
        The library's Array API functions, bound to ``device``, with ``xp.nn`` beside them.
    device : object
        Where the arrays live, in the library's own terms.
    dtype : str
        ``"float32"`` or ``"float64"``: the type of parameters, activations and gradients.
    precision : str
        What the numbers are rounded to that layers multiply as matrices: ``"bfloat16"``, or the dtype. xpnet says it.
    asarray : callable
        ``asarray(values, dtype=None)``: host (or DLPack) array to the device, in C's order. The only way in.
    to_numpy : callable
        Device array to a NumPy array. The only way out; it waits for the device.
    compile : callable
        ``compile(function, donated=False)`` gives a function of the same arrays, made faster or left as it
        is. The network runs everything through it, so it is also where a backend enters a device's context.
        With ``donated`` the caller hands its first argument over for good, and the first result, which has
        the same structure, may live in its memory. The function may have a method ``checked_call`` of the same
        arguments, the last of which is the user's, as it came: it returns the result if it finds at once that the
        arguments are arrays as it takes them and the last one is finite, else None. ``predict`` tries that first.
    loop : callable or None
        ``loop(step)`` gives ``run(carry, data, order)``, which is ``carry = step(carry, data, row)`` for
        each row of ``order``, a NumPy array of integers that nobody writes to afterwards; ``step`` takes a
        row as an array of the library's. ``None`` means a plain Python loop over ``compile(step)``.
    epochs : callable or None
        ``epochs(step)`` gives ``run(state, start, data, orders, rests, count)``, which trains for several epochs in
        one call, one for each of the first ``count`` of ``orders``. In an epoch ``carry = (state, start)`` goes
        through ``step`` for each row of its order and then, unless ``rests`` is None, for its row of ``rests``, which
        is a shorter batch; the carry's first part is the next epoch's ``state``. ``run`` returns the last ``state``
        and the second parts of the epochs' carries, stacked, one for each of ``orders``; those after the first
        ``count`` may hold anything. It writes to none of its arguments. ``None`` if a call of ``loop`` costs too
        little for that to help.
    synchronize : callable
        Returns when the device has done all it was given. Default: a call returns when all is done.
    immutable : bool
        Whether no array is ever written to, donated ones included: what holds on to one need not copy it.
    spare_core : bool
        Whether a core of the host is left while it computes: then what comes next is prepared beside it.
    nn : mapping
        Replacements for functions of :mod:`xpnet.nn`, by name, with the reference's own signature.
    """

    name: str
    xp: Any
    device: Any
    dtype: str
    asarray: Callable[..., Array]
    to_numpy: Callable[[Array], np.ndarray[Any, Any]]
    compile: Callable[..., Callable[..., Any]] = _compile_nothing
    loop: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    epochs: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    synchronize: Callable[[], None] = _synchronize_nothing
    immutable: bool = False
    spare_core: bool = False
    nn: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    precision: str = ""

    @cached_property
    def float(self) -> Any:
        """The namespace's own object for ``dtype``."""
        return getattr(self.xp, self.dtype)

    @property
    def is_synchronous(self) -> bool:
        """Whether what it is given has been done when a call returns."""
        return self.synchronize is _synchronize_nothing

    def __copy__(self) -> Backend:
        """Return itself: there is nothing in it that changes."""
        return self

    def __deepcopy__(self, memo: object) -> Backend:
        """Return itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse to be pickled, as it holds a library's own functions and device."""
        raise BackendError(
            f"{self!r} cannot be pickled; pickle the network instead, or open_backend's arguments: "
            f"name {self.name!r}, device, dtype {self.dtype!r}"
        )

    def __repr__(self) -> str:
        precision = f", precision={self.precision!r}" if self.precision == BFLOAT16 else ""
        return f"Backend({self.name!r}, device={str(self.device)!r}, dtype={self.dtype!r}{precision})"


class BackendModule(Protocol):
    """What the entry point of a backend refers to: usually a module, with these four names.

    Any exception but BackendError, such as an ImportError, becomes one that names the reason and ``INSTALL``.
    """

    INSTALL: str
    """The command that installs the array library, quoted in errors."""

    def open(self, device: object, dtype: str) -> Backend:
        """Open the library on *device* (``None``: its default)."""

    def version(self) -> str:
        """Return the array library's version."""

    def devices(self) -> list[str]:
        """Describe each device in a line, with its memory where known."""


@record
class BackendInfo:
    """What :func:`available_backends` found: a version and devices, or the problem and its remedy."""

    name: str
    version: str = ""
    devices: tuple[str, ...] = ()
    problem: str = ""

    @property
    def available(self) -> bool:
        """Whether :func:`open_backend` would succeed with this name."""
        return not self.problem


@explains_arguments
def open_backend(
    name: str | Backend = "numpy", *, device: object = None, dtype: object = None, precision: object = None
) -> Backend:
    """Open an array library for computing.

    Parameters
    ----------
    name : str or Backend
        ``"numpy"``, ``"cupy"``, ``"torch"``, ``"jax"``, ``"array-api-strict"``, a third party's name, or
        ``"auto"``: CuPy where a GPU answers, else NumPy, and CuPy alone where a device is given; the choice and its
        reason are printed to standard error.
        A :class:`Backend` is returned as it is; ``device``, ``dtype`` and ``precision``, where given,
        must be its own.
    device : object, optional
        In the library's terms: ``0`` (CuPy), ``"cuda:1"`` (torch), ``"gpu"`` (JAX). Default: the library's.
    dtype : str, optional
        ``"float32"`` (default) or ``"float64"``.
    precision : str, optional
        ``"bfloat16"``: of two matrices that a layer multiplies, the numbers are rounded to 8 significant bits first,
        and the products added up in float32, in which all else is computed and kept (mixed precision; Micikevicius
        et al. 2018, Kalamkar et al. 2019). Default: the dtype.

    Raises
    ------
    ConfigurationError
        The dtype or the precision is unknown, or they do not go together; or a :class:`Backend` is given beside another
        device, dtype or precision than its own.
    BackendError
        The name is unknown, the library is not installed, or there is no such device. The message holds
        what was asked, what was found, and the command that fixes it.

    Examples
    --------
    >>> open_backend("numpy", dtype="float64")
    Backend('numpy', device='cpu', dtype='float64')
    """
    if isinstance(name, Backend):
        return _same(name, device, dtype, precision)
    dtype = dtype_name("float32" if dtype is None else dtype)
    precision = _precision_name(precision, dtype)
    if name == "auto":
        return _open_best(device, dtype, precision)
    module = _load(name)
    try:
        backend = module.open(device, dtype)
    except XpnetError:
        raise
    except Exception as error:  # a broken library fails in its own way while it is imported
        raise BackendError(_absence(name, module, error)) from error
    return bind(backend, precision)


def available_backends() -> dict[str, BackendInfo]:
    """Ask every registered backend for its version and devices, and say why an absent one is absent.

    >>> available_backends()["numpy"].available
    True
    """
    return {name: _inspect(name) for name in sorted(_registered())}


def _inspect(name: str) -> BackendInfo:
    try:
        module = _load(name)
        try:
            return BackendInfo(name, module.version(), tuple(module.devices()))
        except XpnetError:
            raise
        except Exception as error:
            return BackendInfo(name, problem=_absence(name, module, error))
    except Exception as error:  # a third party's module that lacks a name is one line here, too
        return BackendInfo(name, problem=str(error) or repr(error))


def _open_best(device: object, dtype: str, precision: str) -> Backend:
    try:
        backend, reason = open_backend("cupy", device=device, dtype=dtype, precision=precision), "a GPU answers"
    except BackendError as error:
        if device is not None:  # NumPy would compute elsewhere than was asked
            raise
        backend, reason = open_backend("numpy", dtype=dtype, precision=precision), str(error)
    print(f"xpnet: backend 'auto' is {backend.name}: {reason}", file=sys.stderr)
    return backend


def _registered() -> dict[str, dict[str, EntryPoint]]:
    """Return the entry points of all installed distributions, by backend name and by the module that they refer to."""
    from importlib.metadata import entry_points

    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(entry.name, {})[entry.value] = entry
    return found


def _load(name: str) -> BackendModule:
    """Import a backend's module; xpnet's own is found by its name, as reading the entry points takes 17 ms."""
    if isinstance(name, str) and name.isidentifier() and _is_own(name):
        value = f"xpnet_backends.on_{name}"
        load: Callable[[], Any] = partial(import_module, value)
    else:
        value, load = _find(name)
    try:
        module: BackendModule = load()
    except Exception as error:
        raise BackendError(f"backend {name!r} ({value}) cannot be imported: {_reason(error)}") from error
    return module


def _is_own(name: str) -> bool:
    try:
        return find_spec(f"xpnet_backends.on_{name}") is not None
    except ModuleNotFoundError:  # no backend was installed beside xpnet
        return False


def _find(name: str) -> tuple[str, Callable[[], Any]]:
    """Return the name of the module that a backend is registered with, and a function that loads it."""
    registered = _registered()
    if not registered:
        raise BackendError(
            "no backend is registered, so xpnet itself is not installed; run: pip install -e . in its folder"
        )
    if not isinstance(name, str) or name not in registered:
        from xpnet.foreign_names import BACKEND_ADVICE

        known = [*registered, "auto"]
        if advice := BACKEND_ADVICE.get(str(name).partition(":")[0].lower()):
            raise BackendError(f"unknown backend {name!r}; {advice}. Known: {', '.join(sorted(known))}")
        raise BackendError(str(unknown_name("backend", name, known)))
    if len(registered[name]) > 1:
        raise BackendError(
            f"two installed distributions register a backend {name!r}: {' and '.join(sorted(registered[name]))}; "
            "uninstall one of them"
        )
    ((value, entry),) = registered[name].items()
    return value, entry.load


def _same(backend: Backend, device: object, dtype: object, precision: object) -> Backend:
    """Return an open backend, after checking it against the device, dtype and precision that are given."""
    found = {
        f"dtype={dtype!r}": dtype is None or dtype_name(dtype) == backend.dtype,
        f"precision={precision!r}": precision is None or _precision_name(precision, backend.dtype) == backend.precision,
        f"device={device!r}": device is None or str(device) == str(backend.device),
    }
    for given, same in found.items():
        if not same:
            raise ConfigurationError(f"{given} is given beside {backend!r}; leave it out, or give the name alone")
    return backend


def _absence(name: str, module: BackendModule, error: Exception) -> str:
    from xpnet.extras import install_command

    fault = "needs a library that cannot be imported" if isinstance(error, ImportError) else "cannot be opened"
    return f"backend {name!r} {fault} ({_reason(error)}); run: {install_command(module.INSTALL)}"


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"


def _short_name(dtype: object) -> str:
    """Return ``"float32"`` for what a library calls so, such as ``torch.float32``."""
    return str(getattr(dtype, "__name__", dtype)).rpartition(".")[2]


def dtype_name(dtype: object) -> str:
    """Return ``"float32"`` or ``"float64"``, in whichever spelling it is given; raises ConfigurationError."""
    name = _short_name(dtype)
    if name not in DTYPES:
        raise ConfigurationError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}{_dtype_remedy(name)}")
    return name


def _precision_name(precision: object, dtype: str) -> str:
    """Return the name of a precision, checked, for a backend of this dtype."""
    name = dtype if precision is None else _short_name(precision)
    if name == dtype:
        return dtype
    if name != BFLOAT16:
        meant = f"; did you mean {BFLOAT16!r}?" if "bf16" in name or BFLOAT16 in name else ""
        raise ConfigurationError(f"precision must be {BFLOAT16!r} or the dtype, {dtype!r}; got {precision!r}{meant}")
    if dtype != "float32":
        raise ConfigurationError(f"precision={precision!r} goes with dtype='float32'; got dtype={dtype!r}")
    return BFLOAT16


def _dtype_remedy(name: str) -> str:
    """Say what to write instead of an unsupported dtype."""
    if "float16" in name or name == "half":
        return (
            ". Half precision alone would round small steps of the weights away; precision='bfloat16' takes it for "
            "products alone. Leave dtype out: data in half precision are taken as they are, and computed in float32"
        )
    meant = {"double": "float64", "float": "float64", "single": "float32"}.get(name)
    return f"; did you mean {meant!r}?" if meant else ". It is the type of weights and gradients, real numbers"


def bind(backend: Backend, precision: str | None = None) -> Backend:
    """Give the backend its final namespace: the standard's names, the device, and ``nn``, with products so precise."""
    from xpnet import nn

    library = backend.xp
    members = {name: getattr(library, name) for name in STANDARD if hasattr(library, name)}
    for name in CREATION:
        members[name] = partial(getattr(library, name), device=backend.device)
    xp = Namespace(backend.name, members)
    unknown = set(backend.nn) - set(nn.__all__)
    if unknown:
        raise BackendError(f"backend {backend.name!r} replaces {sorted(unknown)}, which xpnet.nn does not have")
    functions = {name: getattr(nn, name) for name in nn.__all__} | dict(backend.nn)
    if precision == BFLOAT16:  # a library's own linear would multiply in the dtype
        functions |= {"linear": nn.linear, "linear_backward": nn.linear_backward}
        functions |= {"operand": functions["rounded"], "product": functions["rounded_product"]}
    bound = {name: partial(function, xp) for name, function in functions.items()}
    xp.__dict__["nn"] = Namespace(f"{backend.name}.nn", bound)
    loop = backend.loop or partial(_plain_loop, backend)
    return replace(backend, xp=xp, loop=loop, precision=precision or backend.dtype)


def _plain_loop(backend: Backend, step: Callable[..., Any]) -> Callable[..., Any]:
    compiled = backend.compile(step, donated=True)

    def run(carry: Any, data: Any, order: np.ndarray[Any, Any]) -> Any:
        rows = backend.asarray(order)
        for i in range(len(order)):
            carry = compiled(carry, data, rows[i, :])
        return carry

    return run

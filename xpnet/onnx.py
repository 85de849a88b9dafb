"""Export networks to ONNX files, by running the forward pass on arrays that record what is done to them.

No layer has a second description here: :meth:`Layer.forward` is called once, with placeholders for the input and the
weights, over the namespace of :mod:`xpnet.onnx_namespace`, and what it computes is the graph. So every layer that keeps
to ``context.xp`` can be exported, also one that xpnet has never heard of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.atomic_write import replace_file
from xpnet.checks import StrPath, check_flag, check_path
from xpnet.errors import ConfigurationError, ExportError, XpnetError
from xpnet.extras import import_extra
from xpnet.layers import Context
from xpnet.onnx_namespace import import_ndonnx, open_graph
from xpnet.parameters import unflatten
from xpnet.summary import short, summarize

if TYPE_CHECKING:
    from xpnet.arrays import Host
    from xpnet.backend import Array, Backend
    from xpnet.network import Network
    from xpnet.scaling import MinMaxScaler, StandardScaler

__all__ = ["to_onnx"]

BATCH = "N"
"""What the batch axis is called; its length is open."""

MAX_BYTES = 2**31 - 1
"""What one protobuf message, and so one file without others beside it, can hold."""

WRITTEN = (
    "What is exported has to be written with functions of the Array API alone, and to look neither at values nor at "
    "the length of the batch"
)


def to_onnx(
    network: Network,
    path: StrPath,
    *,
    link: bool = False,
    scaler: StandardScaler | MinMaxScaler | None = None,
    classes: Iterable[object] | None = None,
) -> None:
    """Write a built network to *path*; :meth:`Network.to_onnx` says what goes in and what is raised."""
    place, link = check_path("path", path), check_flag("link", link)
    labels = None if classes is None else _labels(network, classes)
    if scaler is not None and not hasattr(scaler, "transform"):
        raise ConfigurationError(f"scaler must be a fitted StandardScaler or MinMaxScaler; got {scaler!r}")
    weights = network.get_weights()
    size = sum(array.nbytes for array in weights.values())
    if size > MAX_BYTES:
        raise ExportError(f"an ONNX file holds at most {MAX_BYTES:,} bytes; the weights have {size:,}")
    model = _trace(network, weights, link, scaler)
    _describe(model, network, link, scaler, labels)
    _check(model)
    replace_file(place, [model.SerializeToString(deterministic=True)], ExportError)


def _trace(network: Network, weights: Mapping[str, Host], link: bool, scaler: Any) -> Any:
    """Return the graph of the forward pass, simplified, with the weights in it by name."""
    ndonnx = import_ndonnx()
    simplifier = import_extra("onnxscript.optimizer", "onnx", "to_onnx()")
    graph = open_graph(network.backend.dtype)
    parameters = {slot.name for slot in network.layout.slots}
    arrays = {name: ndonnx.argument(shape=value.shape, dtype=graph.float) for name, value in weights.items()}
    x = ndonnx.argument(shape=(BATCH, *(network.in_shape or ())), dtype=graph.float)
    inner, output = _trace_layers(network, arrays, x, graph, link, scaler)
    name = _output_name(link)
    model = ndonnx.build({"input": x, **arrays}, {name: output, **inner}, drop_unused=True)
    del model.metadata_props[:]  # ndonnx's note for its own reader
    # Parameters stay inputs while the simplifier works: it would merge those that are equal, and drop what is zero.
    _set_values(model.graph, {key: value for key, value in weights.items() if key not in parameters})
    model = simplifier.optimize(model)
    _set_values(model.graph, {key: value for key, value in weights.items() if key in parameters})
    # Every layer's output was an output of the graph so far, which made it keep its name.
    for value in [value for value in model.graph.output if value.name in inner]:
        model.graph.output.remove(value)
    _set_output_shape(model.graph.output[0], network.out_shape)
    return model


def _trace_layers(
    network: Network, arrays: Mapping[str, Array], x: Array, graph: Backend, link: bool, scaler: Any
) -> tuple[dict[str, Array], Array]:
    """Run the layers on placeholders; return the named outputs of the layers, and the last output."""
    inner: dict[str, Array] = {}

    def check(array: Array) -> Array:
        traced = isinstance(array, type(x))
        if not traced or array.dtype != graph.float or array.shape[:1] != (None,):
            found = f"{array.dtype} of shape {array.shape}" if traced else type(array).__name__
            raise TypeError(f"it gives {found}, not a traced array of {graph.dtype} with an open batch axis")
        return array

    def note(name: str, array: Array) -> None:
        inner[name] = check(array)

    def scores(array: Array) -> Array:
        return network.model.forward(tree, array, Context(graph.xp, state=tree, record=note))[0]

    tree = unflatten(arrays)
    y = x
    if scaler is not None:
        y = _scaled(scaler, x, check)
        inner["scaled"] = y
    start = y
    y = _export_part(lambda: scores(start), lambda: _failed_layer(network.model, inner))
    if link:
        logits = y
        blamed = f"the link of {short(network.loss)}"
        y = _export_part(lambda: check(network.loss.link(logits, graph.xp)), lambda: blamed)
    names = {id(x): "input", id(y): _output_name(link)}
    for name, array in inner.items():
        names.setdefault(id(array), name)  # what a layer hands on as it is has one name, the first
    return {name: array for name, array in inner.items() if names[id(array)] == name}, y


def _export_part(function: Callable[[], Array], blamed: Callable[[], str]) -> Array:
    """Return what *function* returns; whatever it raises, as it may be the user's code, becomes an ExportError."""
    try:
        return function()
    except Exception as error:
        raise ExportError(f"{blamed()} cannot be exported to ONNX: {error!r}. {WRITTEN}") from error


def _scaled(scaler: Any, x: Array, check: Callable[[Array], Array]) -> Array:
    """Return the scaled placeholder; raise ExportError if the scaler fails on it."""
    try:
        return check(scaler.transform(x))
    except Exception as error:
        own = "; xpnet's scalers are: xpnet.StandardScaler().fit(x_train), say"
        said = f"{error}" if isinstance(error, XpnetError) else f"{error!r}. {WRITTEN}{own}"
        if counterpart := _counterpart(scaler):
            said = f"it is scikit-learn's; the same is {counterpart}"
        raise ExportError(f"the scaler {type(scaler).__name__} cannot be exported to ONNX: {said}") from error


def _counterpart(scaler: Any) -> str:
    """Return the call that makes xpnet's scaler of a fitted one of scikit-learn's; empty for any other."""
    kind = type(scaler).__name__
    if kind == "StandardScaler" and getattr(scaler, "scale_", None) is not None:
        mean = "tuple(s.mean_)" if getattr(scaler, "with_mean", True) else "(0.0,) * s.scale_.size"
        return f"xpnet.StandardScaler(mean={mean}, deviation=tuple(s.scale_), shape=s.scale_.shape) of that scaler s"
    if kind == "MinMaxScaler" and hasattr(scaler, "data_min_") and not getattr(scaler, "clip", False):
        return (
            "xpnet.MinMaxScaler(*s.feature_range, minimum=tuple(s.data_min_), maximum=tuple(s.data_max_), "
            "shape=s.data_min_.shape) of that scaler s"
        )
    return ""


def _failed_layer(container: Any, done: Mapping[str, Array], prefix: str = "") -> str:
    """Describe the innermost layer that failed: the first one without an output."""
    for i, layer in enumerate(container.layers):
        path = f"{prefix}{i}"
        if f"{path}.output" not in done:
            inner = hasattr(layer, "layers")
            return _failed_layer(layer, done, f"{path}.") if inner else f"layer {path}, {short(layer)},"
    shortcut = getattr(container, "shortcut", None)
    if shortcut is not None:
        return f"layer {prefix}shortcut, {short(shortcut)},"
    return f"layer {prefix.removesuffix('.')}, {short(container)},"


def _set_values(graph: Any, weights: Mapping[str, Host]) -> None:
    """Turn inputs of the graph into constants with these values."""
    from onnx import numpy_helper

    inputs = {value.name: value for value in graph.input}
    for name, value in weights.items():
        if name in inputs:  # one that the forward pass reads
            graph.input.remove(inputs[name])
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))


def _set_output_shape(value: Any, out_shape: tuple[int, ...]) -> None:
    """Set the shape of the output, which the tracer may know only in part."""
    shape = value.type.tensor_type.shape
    traced = [axis.dim_value if axis.HasField("dim_value") else None for axis in shape.dim]
    known = [None, *out_shape]
    if len(traced) != len(known) or any(found not in (None, want) for found, want in zip(traced, known, strict=True)):
        raise ExportError(f"the layers gave outputs of shape {tuple(traced)}; their build() says {tuple(known)}")
    del shape.dim[:]
    shape.dim.add().dim_param = BATCH
    for length in out_shape:
        shape.dim.add().dim_value = length


def _describe(model: Any, network: Network, link: bool, scaler: Any, labels: list[Any] | None) -> None:
    """Set the model's producer, and a text that describes its input and output."""
    from onnx.helper import set_model_props

    import xpnet

    model.producer_name, model.producer_version = "xpnet", xpnet.__version__
    model.graph.name = "network"
    scaled = "" if scaler is None else f", scaled inside by {type(scaler).__name__}"
    given = f"the link of {short(network.loss)}" if link else f"raw, as {short(network.loss)} takes them"
    _, _, table = summarize(network).partition("\n")  # its first line tells where the network was
    model.doc_string = (
        f"input: {network.backend.dtype}, ({BATCH}, ...){scaled}. {_output_name(link)}: {given}.\n\n{table}"
    )
    if labels is not None:
        set_model_props(model, {"classes": json.dumps(labels)})


def _check(model: Any) -> None:
    """Check the model against the ONNX specification, with the types and shapes of all values."""
    from onnx import checker, shape_inference

    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ExportError(f"the layers gave a graph that is not valid ONNX: {error}") from error


def _labels(network: Network, classes: Iterable[object]) -> list[Any]:
    """Return the names of the classes as JSON can hold them."""
    if not hasattr(network.loss, "classify"):
        raise ConfigurationError(f"classes are for losses of classes; the network has {short(network.loss)}")
    wanted = max(network.out_shape[0], 2)
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise ConfigurationError(f"classes must be a list of {wanted} names; got {classes!r}")
    labels = [label.item() if isinstance(label, np.generic) else label for label in classes]
    if len(labels) != wanted or not all(isinstance(label, str | int | float) for label in labels):
        raise ConfigurationError(f"classes must be a list of {wanted} names, text or numbers; got {labels!r}")
    return labels


def _output_name(link: bool) -> str:
    return "predictions" if link else "scores"

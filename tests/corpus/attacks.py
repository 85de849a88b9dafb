"""One file for each known class of attack on model files, made for xpnet's loader.

Where an attack needs something that the format does not have (a pickle, an archive, a path), its file is the nearest
that tries: the foreign file itself, or a well-formed xpnet file whose description asks for the same. They are made here
and not kept as files, which scanners would rightly report. Each would leave a file named *mark* where it worked.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import xpnet

Attack = Callable[[Path, bytes], bytes]


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return eval, (touching(self.mark),)


def touching(mark: Path) -> str:
    return f"__import__('pathlib').Path({str(mark)!r}).touch()"


def honest(folder: Path) -> bytes:
    """Return the file of a small network."""
    net = xpnet.Network([xpnet.Dense(3, weight_initializer="zeros"), "relu", xpnet.Dense(2)], inputs=4)
    net.save(folder / "honest")
    return (folder / "honest").read_bytes()


def described(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return the file with its description changed, and all else as it was."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    description = json.loads(header["__metadata__"]["xpnet"])
    change(description)
    header["__metadata__"]["xpnet"] = json.dumps(description)
    return with_header(header, content[8 + size :])


def with_header(header: Any, data: bytes) -> bytes:
    """Return a file without a checksum, which would be all that it is refused for."""
    header["__metadata__"].pop("checksum", None)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def layer(content: bytes, record: Any) -> bytes:
    """Put *record* in the place of the first layer."""
    return described(content, lambda d: d["network"]["layers"]["layers"].__setitem__(0, record))


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def keras_zip(config: Any) -> bytes:
    return zipped({"config.json": json.dumps(config).encode(), "metadata.json": b"{}", "model.weights.h5": b"\x89HDF"})


def tarred(mark: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(f"../../../../../{mark}"), io.BytesIO())
    return stream.getvalue()


def object_array(mark: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Touch(mark)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def external_data(path: str) -> bytes:
    """Return an ONNX model (protocol buffers) with a tensor whose data lies in another file."""

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    entry = field(1, b"location") + field(2, path.encode())
    tensor = field(8, b"w") + field(13, entry) + bytes([14 << 3, 1])
    return bytes([1 << 3, 8]) + field(7, field(5, tensor))


def shadowed(content: bytes, **entry: Any) -> bytes:
    """Give the first array an entry that points elsewhere."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header[next(name for name in header if name != "__metadata__")].update(entry)
    return with_header(header, content[8 + size :])


CALL = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}

ATTACKS: dict[str, Attack] = {
    "CVE-2025-1550 a configuration names module and function": lambda mark, net: layer(
        net, {"class": "Dense", "units": 3, "weight_initializer": {**CALL, "config": f"touch {mark}"}}
    ),
    "CVE-2025-1550 the archive itself": lambda mark, net: keras_zip({**CALL, "args": [f"touch {mark}"]}),
    "CVE-2025-8747 a configuration calls a download": lambda mark, net: layer(
        net, {"class": "get_file", "module": "keras.utils", "fname": str(mark), "origin": "http://127.0.0.1:9/a"}
    ),
    "CVE-2025-9906 a configuration turns safety off": lambda mark, net: described(
        net,
        lambda d: d.update(network={"class": "enable_unsafe_deserialization", "layers": d["network"]["layers"]}),
    ),
    "CVE-2025-9905 a lambda layer's bytecode": lambda mark, net: layer(
        net,
        {
            "class": "Lambda",
            "function": base64.b64encode(marshal.dumps(compile(touching(mark), "a", "eval"))).decode(),
        },
    ),
    "CVE-2025-9905 the HDF5 file itself": lambda mark, net: b"\x89HDF\r\n\x1a\n" + touching(mark).encode(),
    "CVE-2025-49655 a layer that wraps a pickle": lambda mark, net: layer(
        net, {"class": "TorchModuleWrapper", "module": base64.b64encode(pickle.dumps(Touch(mark))).decode()}
    ),
    "CVE-2025-12058 a vocabulary's path": lambda mark, net: layer(
        net, {"class": "StringLookup", "vocabulary": "/etc/passwd"}
    ),
    "CVE-2025-12058 a path where an initializer stands": lambda mark, net: layer(
        net, {"class": "Dense", "units": 3, "weight_initializer": "file:///etc/passwd"}
    ),
    "CVE-2025-12638 an archive that leaves its folder": lambda mark, net: tarred(mark),
    "CVE-2026-0897 an array without end": lambda mark, net: shadowed(net, shape=[10**12], data_offsets=[0, 4 * 10**12]),
    "CVE-2026-0897 a layer without end": lambda mark, net: layer(net, {"class": "Dense", "units": 10**12}),
    "CVE-2026-1462 a layer that loads a folder": lambda mark, net: layer(
        net, {"class": "TFSMLayer", "filepath": str(mark.parent)}
    ),
    "CVE-2026-1669 an array's data in another file": lambda mark, net: shadowed(net, external="/etc/passwd"),
    "CVE-2025-54412 a class under a known name, its method elsewhere": lambda mark, net: layer(
        net, {"class": "Dense", "__class__": "methodcaller", "__module__": "builtins", "attrs": "eval", "units": 3}
    ),
    "CVE-2025-54886 a file with another suffix falls back to a pickle": lambda mark, net: pickle.dumps(Touch(mark)),
    "CVE-2025-32434 a pickle in an archive": lambda mark, net: zipped(
        {"archive/data.pkl": pickle.dumps(Touch(mark), 2)}
    ),
    "CVE-2026-24747 sizes that do not fit their storage": lambda mark, net: shadowed(net, data_offsets=[0, 4]),
    "CVE-2026-24747 a dtype larger than its storage": lambda mark, net: shadowed(net, dtype="F64"),
    "CVE-2019-6446 an array of objects": lambda mark, net: object_array(mark),
    "CVE-2019-6446 a dtype of objects": lambda mark, net: shadowed(net, dtype="O"),
    "CVE-2022-25882 an ONNX tensor in a file outside": lambda mark, net: external_data("../../../../etc/passwd"),
    "CVE-2024-27318 an ONNX tensor behind a path like one's own": lambda mark, net: external_data("../file/passwd"),
    "a pickle after an honest file": lambda mark, net: net + pickle.dumps(Touch(mark)),
    "a custom class that nobody passed": lambda mark, net: layer(
        net, {"class": "custom:Popen", "args": f"touch {mark}"}
    ),
    "a class by its path": lambda mark, net: layer(net, {"class": "xpnet.layers.Dense", "units": 3}),
    "a dunder as class": lambda mark, net: layer(net, {"class": "__import__", "name": "os"}),
    "an overwritten method": lambda mark, net: layer(net, {"class": "Dense", "units": 3, "build": touching(mark)}),
    "ten thousand masks for one vector": lambda mark, net: described(
        net,
        lambda d: d["network"].update(
            optimizer={"class": "Chain", "links": [{"class": "L1"}] * 10_000 + [{"class": "SGD"}]}
        ),
    ),
    "a shape of half a million axes": lambda mark, net: layer(net, {"class": "Reshape", "shape": [2] * 300_000}),
}

"""Files that are no networks, and places where none can be written."""

from __future__ import annotations

from typing import Any

import pytest
from bad_input import snapshot

import xpnet
from xpnet import CheckpointError, Network


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "No such file"),
        (b"", "not an xpnet file"),
        (b"PK\x03\x04 some archive, not a network", "not an xpnet file"),
        (b"\x80\x04\x95 a pickle", "not an xpnet file"),
        (b"\xff" * 64, "not an xpnet file"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "not an xpnet file"),
    ],
    ids=["missing", "empty", "archive", "pickle", "noise", "foreign"],
)
def test_a_file_that_is_not_a_network_is_refused(
    content: bytes | None, fragment: str, backend: xpnet.Backend, tmp_path: Any
) -> None:
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=fragment) as caught:
        xpnet.load(path, backend=backend)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_network(backend: xpnet.Backend, tmp_path: Any) -> None:
    with pytest.raises(CheckpointError, match="is a folder; name a file in it"):
        xpnet.load(tmp_path, backend=backend)


def test_saving_where_nothing_can_be_saved(trained: dict[str, Network], tmp_path: Any) -> None:
    net = trained["classes"]
    before = snapshot(net)
    path = tmp_path / "missing" / "net.safetensors"
    with pytest.raises(CheckpointError, match="cannot write") as caught:
        net.save(path)
    assert str(path) in str(caught.value)
    assert snapshot(net) == before

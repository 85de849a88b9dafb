"""Optional libraries, there or not."""

from __future__ import annotations

import json
import sys

import pytest

import xpnet
from xpnet.extras import import_extra


def test_what_is_there_is_returned() -> None:
    assert import_extra("json", "plot", "reading") is json


def test_what_is_missing_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "json.decoder", None)
    with pytest.raises(xpnet.MissingExtraError) as caught:
        import_extra("json.decoder", "plot", "drawing")
    assert str(caught.value).startswith("drawing needs json, which cannot be imported (")
    assert str(caught.value).endswith("; run: pip install 'xpnet[plot]'")
    assert isinstance(caught.value.__cause__, ImportError)

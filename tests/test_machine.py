"""What backends tell of the machine."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xpnet_backends.machine import cpu_memory

import xpnet

SIZES = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 * 2**20}


def test_the_memory_is_told_in_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", SIZES.__getitem__, raising=False)
    assert cpu_memory() == ", 16.0 GiB"


@pytest.mark.parametrize("error", [ValueError("unrecognized configuration name"), OSError(22, "Invalid argument")])
def test_what_the_system_does_not_know_is_left_out(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise error

    monkeypatch.setattr(os, "sysconf", fail, raising=False)
    assert cpu_memory() == ""


def test_what_the_system_cannot_be_asked_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert cpu_memory() == ""


def test_the_cpu_is_listed_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(os, "sysconf", SIZES.__getitem__, raising=False)
    assert xpnet.available_backends()["torch"].devices[0].endswith(" threads, 16.0 GiB")

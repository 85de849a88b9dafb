"""Optional libraries, there or not, and the command that installs them."""

from __future__ import annotations

import json
import shlex
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import xpnet
from xpnet import extras
from xpnet.extras import _requirement, import_extra, install_command, quoted


@pytest.fixture
def came_from(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes xpnet look installed with such a note of where it came from."""
    monkeypatch.setattr(extras, "_requirement", _requirement)  # the real one

    def note(given: dict[str, Any] | None) -> None:
        text = None if given is None else json.dumps(given)
        monkeypatch.setattr(metadata, "distribution", lambda name: SimpleNamespace(read_text=lambda file: text))

    return note


def test_what_is_there_is_returned() -> None:
    assert import_extra("json", "plot", "reading") is json


def test_what_is_missing_names_the_command(monkeypatch: pytest.MonkeyPatch, came_from: Any) -> None:
    came_from(None)
    monkeypatch.setitem(sys.modules, "json.decoder", None)
    with pytest.raises(xpnet.MissingExtraError) as caught:
        import_extra("json.decoder", "plot", "drawing")
    assert str(caught.value).startswith("drawing needs json, which cannot be imported (")
    assert str(caught.value).endswith("; run: pip install 'xpnet[plot]'")
    assert isinstance(caught.value.__cause__, ImportError)


def test_from_an_index_the_name_is_right(came_from: Any) -> None:
    came_from(None)
    assert install_command("run: pip install 'xpnet[plot]'") == "run: pip install 'xpnet[plot]'"


@pytest.mark.parametrize(("editable", "flag"), [(True, "-e "), (False, "")])
@pytest.mark.parametrize("name", ["checkout", "a folder's name"])
def test_from_a_folder_the_command_names_it(
    editable: bool, flag: str, name: str, tmp_path: Path, came_from: Any
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    came_from({"url": folder.as_uri(), "dir_info": {"editable": True} if editable else {}})
    command = install_command("pip install 'xpnet[plot]'")
    assert command.startswith(f"pip install {flag}")
    assert shlex.split(command)[-1] == f"{folder}[plot]"


def test_every_extra_in_a_command_is_named_so(tmp_path: Path, came_from: Any) -> None:
    came_from({"url": tmp_path.as_uri(), "dir_info": {}})
    command = install_command("pip install 'xpnet[cuda13x]' (CUDA 12: 'xpnet[cuda12x-ctk]'), or pip install 'numpy>=2'")
    assert command == (
        f"pip install '{tmp_path}[cuda13x]' (CUDA 12: '{tmp_path}[cuda12x-ctk]'), or pip install 'numpy>=2'"
    )


def test_from_a_file_the_command_names_it(tmp_path: Path, came_from: Any) -> None:
    wheel = tmp_path / "xpnet-0.1.0-py3-none-any.whl"
    wheel.touch()
    came_from({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command("pip install 'xpnet[plot]'") == f"pip install '{wheel}[plot]'"


def test_a_folder_that_is_gone_is_not_named(tmp_path: Path, came_from: Any) -> None:
    came_from({"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
    assert install_command("pip install 'xpnet[plot]'") == "pip install 'xpnet[plot]'"


def test_on_windows_commands_have_quotes_that_cmd_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came_from: Any
) -> None:
    """For cmd.exe, an apostrophe is a letter like any other, and what follows > the name of a file."""
    monkeypatch.setattr(extras, "WINDOWS", True)
    came_from(None)
    assert install_command("NumPy's: pip install 'xpnet[plot]' 'numpy>=2.1'") == (
        'NumPy\'s: pip install "xpnet[plot]" "numpy>=2.1"'
    )
    folder = tmp_path / "a folder"
    folder.mkdir()
    came_from({"url": folder.as_uri(), "dir_info": {"editable": True}})
    assert install_command("pip install 'xpnet[plot]'") == f'pip install -e "{folder}[plot]"'
    assert [quoted(text) for text in ("plain", "a & b", 'one,"two, three"')] == [
        "plain", '"a & b"', '"one,""two, three"""',
    ]  # fmt: skip


def test_from_a_repository_the_command_names_it(came_from: Any) -> None:
    came_from({"url": "https://example.org/xpnet.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    assert install_command("pip install 'xpnet[plot]'") == (
        "pip install 'xpnet[plot] @ git+https://example.org/xpnet.git@abc'"
    )


def test_from_an_address_the_command_names_it(came_from: Any) -> None:
    came_from({"url": "https://example.org/xpnet.zip", "archive_info": {}})
    assert install_command("pip install 'xpnet[plot]'") == "pip install 'xpnet[plot] @ https://example.org/xpnet.zip'"


def test_what_is_run_from_its_own_folder_names_that(monkeypatch: pytest.MonkeyPatch, came_from: Any) -> None:
    def missing(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    folder = Path(xpnet.__file__).parents[1]
    assert install_command("pip install 'xpnet[plot]'") == f"pip install -e '{folder}[plot]'"


def test_a_backend_names_its_extra_as_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came_from: Any
) -> None:
    came_from({"url": tmp_path.as_uri(), "dir_info": {}})
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(xpnet.BackendError) as caught:
        xpnet.open_backend("torch")
    assert str(caught.value).endswith(f"run: pip install '{tmp_path}[torch]'")

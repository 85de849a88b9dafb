"""Import optional libraries where they are first needed, or raise an error that says how to install them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from xpnet.errors import MissingExtraError

__all__ = ["import_extra", "install_command", "quoted"]

WINDOWS = os.name == "nt"


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Return *module*, which the package's *extra* installs.

    Raises
    ------
    MissingExtraError
        It cannot be imported; the message says what needs it, why the import failed, and how to install it.

    Examples
    --------
    >>> import_extra("json", "json", "reading JSON").loads("[1]")
    [1]
    """
    try:
        return import_module(module)
    except ImportError as error:
        command = install_command(f"pip install 'xpnet[{extra}]'")
        raise MissingExtraError(
            f"{purpose} needs {module.partition('.')[0]}, which cannot be imported ({error}); run: {command}"
        ) from error


def install_command(command: str) -> str:
    """Return a pip command in which each ``'xpnet[extra]'`` names the source that this xpnet was installed from.

    That is a folder, a file or an address, as the installer has recorded it (PEP 610). Without a record, as after an
    installation from a package index, the name stays. Quotes are those of the system's shell.
    """
    import re

    def spell(found: re.Match[str]) -> str:
        if found[2]:
            return _requirement(found[2])
        return quoted(found[1]) if WINDOWS else found[0]

    return re.sub(r"'(xpnet(\[[\w,-]+\])|[^' ]+)'", spell, command)


def quoted(text: str) -> str:
    """Return a text as one word of a shell command, quoted if necessary: on Windows in double quotes, for cmd.exe."""
    from shlex import quote

    word = quote(text)
    return word if word == text or not WINDOWS else '"' + text.replace('"', '""') + '"'


def _requirement(extra: str) -> str:
    """Return the requirement that pip needs for xpnet with an *extra* such as ``"[plot]"``, quoted for a shell."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        note = json.loads(distribution("xpnet").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # not installed: run from its own folder
        note = {"url": Path(__file__).parents[1].as_uri(), "dir_info": {"editable": True}}
    url, vcs = note.get("url", ""), note.get("vcs_info")
    if vcs:
        return quoted(f"xpnet{extra} @ {vcs['vcs']}+{url}@{vcs['commit_id']}")
    if url and not url.startswith("file:"):
        return quoted(f"xpnet{extra} @ {url}")
    path = Path(url2pathname(urlsplit(url).path))
    if not url or not path.exists():
        return quoted(f"xpnet{extra}")
    editable = "-e " if note.get("dir_info", {}).get("editable") else ""
    return f"{editable}{quoted(f'{path}{extra}')}"

"""Checkpoints of a training run: what ``fit(..., checkpoint="run/", resume=True)`` saves, and resumes in a new process.

A file ``step-0000001200.safetensors`` in the folder of the run is the whole network, as :meth:`Network.save` writes it,
with a note: how far the epoch had come, the epoch's sums so far, the state of the callbacks, and the settings that
decide the numbers. Everything random follows from the seed, the epoch and the step, so this is enough to continue bit
for bit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpnet.assembly import restore_state
from xpnet.batches import MAX_PIECES
from xpnet.checkpoint import configs, read_parts, save
from xpnet.checks import check_flag, check_integer, check_path
from xpnet.errors import CheckpointError, ConfigurationError
from xpnet.locking import locked_folder
from xpnet.records import record
from xpnet.strict_json import read_json, write_json
from xpnet.training import Sums

if TYPE_CHECKING:
    from xpnet.batches import Source
    from xpnet.callbacks import Callback
    from xpnet.history import History
    from xpnet.network import Network
    from xpnet.parameters import Shape
    from xpnet.safefile import Arrays

__all__ = ["FILES", "Every", "Position", "Run"]

NOTE = "run"
FILES = "step-*.safetensors"
"""What a run's files are called."""
UNITS = ("step", "epoch", "minute")

SHORT_STATE, MAX_STATE = 1 << 12, 1 << 26
"""Bytes of JSON up to which a callback's state is kept in the file's header, which has a limit of its own; and at most,
as a longer one is kept in an array, whose size is checked before it is parsed."""


@record
class Every:
    """How often a run is saved: after so many steps, epochs or minutes.

    >>> Every.parse("500 steps"), Every.parse("1 epoch")
    (Every(count=500.0, unit='step'), Every(count=1.0, unit='epoch'))
    """

    count: float
    unit: str

    @classmethod
    def parse(cls, text: Any) -> Every:
        """Read ``"500 steps"``, ``"1 epoch"``, ``"10 minutes"``; steps and epochs are whole.

        Raises
        ------
        ConfigurationError
            It is not of this form.
        """
        words = text.split() if isinstance(text, str) else []
        unit = words[1].removesuffix("s") if len(words) == 2 else ""
        try:
            count = float(words[0]) if unit in UNITS else 0.0
        except ValueError:
            count = 0.0
        if not 0 < count < float("inf") or (unit != "minute" and count != int(count)):
            raise ConfigurationError(f"every must be text such as '500 steps', '1 epoch' or '10 minutes'; got {text!r}")
        return cls(count, unit)

    def longest_piece(self, steps: int | None) -> int | None:
        """Return how many of an epoch's *steps* may run as one call; None leaves it to the epoch."""
        if self.unit == "step":
            return int(self.count)
        return -(-steps // MAX_PIECES) if self.unit == "minute" and steps else None


class Position(NamedTuple):
    """How far a run has come."""

    first: int  # epochs of the network before the run
    entries: int  # epochs in the network's history before the run
    done: int  # batches of the current epoch that are done
    sums: Sums | None  # the epoch's sums so far, if it has begun
    rate: float | None  # the learning rate of its last step, which a hook may have changed since


class Run:
    """The checkpoints of one call of ``fit``.

    Parameters
    ----------
    folder : str or Path
        Where they are; made if it is missing.
    resume : bool
        Whether to go on with what is there; if not, a folder with checkpoints is refused.
    every : str
        See :meth:`Every.parse`.
    keep : int
        Newest checkpoints that are kept.

    Attributes
    ----------
    latest : Path or None
        The newest checkpoint.
    resumed : bool
        Whether training has begun with what was in the folder.
    """

    def __init__(self, folder: Any, *, resume: Any, every: Any, keep: Any) -> None:
        self.folder = check_path("checkpoint", folder, "the path of a folder")
        self.resume, self.every = check_flag("resume", resume), Every.parse(every)
        self.keep = check_integer("keep", keep)
        self.latest: Path | None = None
        self.resumed = False
        self._position = Position(0, 0, 0, None, None)
        self._settings: dict[str, Any] = {}
        self._callbacks: Sequence[Callback] = ()
        self._mark: tuple[int, int, float] = (0, 0, 0.0)
        self._files: set[Path] = set()  # what the folder held at the start, and what was written since
        self._lock = ExitStack()

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.close()

    def open(
        self,
        network: Network,
        callbacks: Sequence[Callback],
        *,
        in_shape: Shape,
        source: Source,
        validation: Source | None,
        batch_size: int,
        shuffle: Any,
    ) -> None:
        """Lock the folder, and compare a run in it with this network and this call of ``fit``.

        Raises
        ------
        ConfigurationError
            They differ, or there is a run although ``resume`` is False.
        CheckpointError
            The network cannot be saved, another process trains in the folder, none of its files can be read, or it
            cannot be made.
        """
        self.network, self._callbacks = network, callbacks
        self._settings = {
            "examples": source.rows,
            "validation examples": None if validation is None else validation.rows or "batches",
            "batch_size": None if source.rows is None else min(batch_size, source.rows),
            "shuffle": "a function" if callable(shuffle) else bool(shuffle),
            "callbacks": [type(callback).__name__ for callback in callbacks],
        }
        here = {
            "inputs": list(in_shape),
            "dtype": network.backend.dtype,
            "precision": network.backend.precision,
            "seed": network.seed,
        }
        records = configs(network)
        self._take_folder()
        self._found = self._newest()
        if self._found is None:
            return
        if not self.resume:
            raise ConfigurationError(
                f"checkpoint={str(self.folder)!r} holds a run (up to {self.latest}); give resume=True to go on with "
                "it, or name another folder"
            )
        description, note, _, _ = self._found
        self._require_same(description, note, here, records)

    def _require_same(
        self, description: dict[str, Any], note: dict[str, Any], here: dict[str, Any], records: dict[str, Any]
    ) -> None:
        """Raise ConfigurationError if the run in the folder differs from this network or this call of ``fit``."""
        there = {name: description[name] for name in here}
        there |= {name: description["network"][name] for name in records}
        # A file has them sorted; the first difference is to be the first in this call's order.
        settings = {name: note["settings"].get(name) for name in (*self._settings, *note["settings"])}
        if found := (
            _difference("", there, here | records)
            or _other_examples(settings, self._settings)
            or _difference("", settings, self._settings)
        ):
            found = found.removeprefix("layers.")  # "layers" is the container; its field has the same name
            raise ConfigurationError(
                f"the run in {str(self.folder)!r} cannot be resumed by this call: {found}. Give what it was started "
                "with, or name another folder"
            )

    def begin(self, history: History) -> Position:
        """Bring network, callbacks and *history* to where the run stood, and return its position."""
        network = self.network
        if self._found is None:
            self._position = Position(network.epochs, network.history.epochs, 0, None, None)
        else:
            description, note, arrays, extra = self._found
            restore_state(network, description, arrays)
            self.resumed = True
            network.stop_training = note["stopped"]
            for callback, state in zip(self._callbacks, note["callbacks"], strict=True):
                callback.restore(state)
            sums = rate = None
            if note["done"]:
                sums = Sums(*(network.from_host(extra[f"sums.{name}"]) for name in Sums._fields))
                rate = float(extra["rate"])
            self._position = Position(note["first"], note["entries"], note["done"], sums, rate)
            history.update({name: network.history[name][note["entries"] :] for name in note["results"]})
        self._found = None
        self._mark = network.steps, network.epochs, time.monotonic()
        return self._position

    def longest_piece(self, steps: int | None) -> int | None:
        """Return how many of an epoch's steps may run as one call."""
        return self.every.longest_piece(steps)

    def due(self, more: int = 0) -> bool:
        """Say whether to save within an epoch, once so many *more* steps are done than the network has counted."""
        if self.every.unit == "step":
            return self.network.steps + more - self._mark[0] >= self.every.count
        return self.every.unit == "minute" and time.monotonic() - self._mark[2] >= 60 * self.every.count

    def end_epoch(self, history: History, *, last: bool) -> None:
        """Save if it is time to, and always after the *last* epoch."""
        due = self.every.unit == "epoch" and self.network.epochs - self._mark[1] >= self.every.count
        if last or due or self.due():
            self.save(history, 0, None)

    def save(self, history: History, done: int, sums: Sums | None, rate: float | None = None) -> None:
        """Save the run as it stands, and remove the oldest files beyond ``keep``."""
        network, extra = self.network, {} if rate is None else {"rate": np.asarray(rate)}
        for name, value in (sums._asdict() if sums else {}).items():
            extra[f"sums.{name}"] = np.array(network.backend.to_numpy(value))
        note = {
            "first": self._position.first,
            "entries": self._position.entries,
            "done": done,
            "results": list(history),
            "stopped": bool(network.stop_training),
            "settings": self._settings,
            "callbacks": [
                _encode_state(callback, f"callbacks.{i}", extra) for i, callback in enumerate(self._callbacks)
            ],
        }
        path = self.folder / f"step-{network.steps:010d}.safetensors"
        try:
            save(network, path, notes={NOTE: write_json(note)}, extra=extra)
        except CheckpointError as error:
            if isinstance(error.__cause__, ValueError) and (most := self._most_arrays(extra)):  # beyond a file's limits
                raise CheckpointError(f"{error}; {most}") from error
            raise
        self.latest, self._mark = path, (network.steps, network.epochs, time.monotonic())
        older = sorted((file for file in self._files if file.name < path.name), reverse=True)
        # Files that are newer than what was just written are those that could not be read at the start.
        newer = [file for file in self._files if file.name > path.name]
        self._files = {path, *older[: self.keep - 1]}
        for file in (*older[self.keep - 1 :], *newer):
            try:
                file.unlink(missing_ok=True)
            except OSError:  # as on Windows, while somebody has it open: the next save tries again
                self._files.add(file)

    def _most_arrays(self, extra: Arrays) -> str:
        """Say which callback's state has the most arrays, if one has any, and what to do about it."""
        counts = [sum(name.startswith(f"callbacks.{i}.") for name in extra) for i in range(len(self._callbacks))]
        most = max(counts, default=0)
        if not most:
            return ""
        owner = type(self._callbacks[counts.index(most)]).__name__
        return f"{owner}.state() has {most:,} arrays: return one in place of many, such as np.stack(...)"

    def _newest(self) -> tuple[dict[str, Any], dict[str, Any], Arrays, Arrays] | None:
        """Return what the newest file that can be read holds; one that cannot is passed over with a warning."""
        self._files = set(self.folder.glob(FILES))
        for path in sorted(self._files, reverse=True):
            try:
                description, notes, arrays, extra = read_parts(path)
                if NOTE not in notes:
                    raise CheckpointError("it holds a network, and no run that could go on; xpnet.load() reads it")
                note = read_json(notes[NOTE])
                _check_note(note, extra)
                note["callbacks"] = [_decode_state(state, extra) for state in note["callbacks"]]
                self.latest = path
                return description, note, arrays, extra
            except (CheckpointError, KeyError, ValueError) as error:
                problem = error
            warnings.warn(
                f"{path} is passed over, as no run can go on from it: {problem}", RuntimeWarning, stacklevel=6
            )
        if self._files:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r} holds {len(self._files)} file(s), none of which a run can go on "
                "from; name another folder to start anew"
            )
        return None

    def _take_folder(self) -> None:
        """Make the folder where it is missing, and hold it until :meth:`close`."""
        name = f"checkpoint={str(self.folder)!r}"
        if self.folder.is_file():
            remedy = (
                f"checkpoint={str(self.folder.parent)!r}, resume=True goes on from it"
                if self.folder.match(FILES)
                else "name a folder; a saved network is read by xpnet.load"
            )
            raise CheckpointError(f"{name} is a file, where a folder for the run's files is needed; {remedy}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked_folder(self.folder))
        except BlockingIOError:
            raise CheckpointError(
                f"another call of fit trains in {name} now, in this or another process; wait for its end, or name "
                f"another folder for this run, such as {f'{self.folder}-2'!r}"
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"{name} cannot be made a folder ({error.strerror}); name one in a place that can be written to"
            ) from error


def _check_note(note: Any, extra: Arrays) -> None:
    """Raise CheckpointError unless this is what :meth:`Run.save` notes of a run."""
    forms = {"first": int, "entries": int, "done": int, "stopped": bool, "results": list, "settings": dict}
    fine = isinstance(note, dict) and all(type(note.get(name)) is form for name, form in forms.items())
    fine = fine and all(note[name] >= 0 for name in ("first", "entries", "done"))
    fine = fine and isinstance(note.get("callbacks"), list) and isinstance(note["settings"].get("callbacks"), list)
    fine = fine and len(note["callbacks"]) == len(note["settings"]["callbacks"])
    fine = fine and all(isinstance(name, str) for name in note["results"])
    begun = ("rate", *(f"sums.{name}" for name in Sums._fields))
    if not fine or (note["done"] and not all(name in extra for name in begun)):
        raise CheckpointError("what it notes of the run is damaged")


def _other_examples(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Return which argument makes the numbers of examples differ from the run's, in words, if they do."""
    before, now = ((settings["examples"], settings["validation examples"]) for settings in (there, here))
    if before == now:
        return None
    if _total(*before) == _total(*now) is not None:
        cause = "validation_split differs"
    else:
        cause = "validation_data differs" if before[0] == now[0] else "x and y differ"
    (first, held), (rows, others) = ((count or "batches", held or "none") for count, held in (before, now))
    return f"{cause}: the run has {first} examples to train on and {held} for validation, this call {rows} and {others}"


def _total(examples: Any, held: Any) -> int | None:
    """Return the number of rows that a validation_split leaves as it is; None for batches, which are not counted."""
    return examples + (held or 0) if isinstance(examples, int) and isinstance(held, int | None) else None


def _difference(name: str, there: Any, here: Any) -> str | None:
    """Return the first difference between what a run was started with and what it is to go on with, in words."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        if there.get("class") == here.get("class"):
            for key in (*there, *(key for key in here if key not in there)):
                inner = f"{name}.{key}" if name else key
                found = _difference(inner, there.get(key), here.get(key))
                if found:
                    return found
            return None
        there, here = there.get("class"), here.get("class")
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        differences = (_difference(f"{name}[{i}]", *pair) for i, pair in enumerate(zip(there, here, strict=True)))
        return next((found for found in differences if found), None)
    return None if there == here else f"{name} was {_shown(there)} and is {_shown(here)} now"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return str(value["class"]) if isinstance(value, Mapping) and "class" in value else repr(value)


def _encode_state(callback: Callback, name: str, extra: Arrays) -> Any:
    """Return a callback's state as :func:`_split` does; a long one goes to *extra*, as text."""
    owner = type(callback).__name__
    state = _split(callback.state(), name, extra, owner)
    try:
        text = write_json([[state]])[2:-2].encode()  # as deep as in the note
    except ValueError as error:
        raise ConfigurationError(
            f"{owner}.state() cannot be saved, for no file with it would be read: {error}"
        ) from error
    if len(text) <= SHORT_STATE:
        return state
    if len(text) > MAX_STATE:
        raise ConfigurationError(
            f"{owner}.state() has {len(text):,} bytes as JSON; at most {MAX_STATE:,} are read. Return long lists of "
            "numbers as arrays, np.asarray(...), which may be of any size"
        )
    extra[name] = np.frombuffer(text, dtype=np.uint8)
    return {"text": name}


def _decode_state(state: Any, extra: Arrays) -> Any:
    """Return the state that :func:`_encode_state` has encoded."""
    if isinstance(state, dict) and "text" in state:
        text = extra[state["text"]]
        if text.nbytes > MAX_STATE:
            raise CheckpointError(f"a callback's state has {text.nbytes:,} bytes; at most {MAX_STATE:,} are read")
        state = read_json(text.tobytes().decode())
    return _joined(state, extra)


def _split(value: Any, name: str, extra: Arrays, owner: str) -> Any:
    """Return a callback's state as JSON: arrays go to *extra* under their path, which is left in their place."""
    if isinstance(value, np.bool_ | np.number):
        value = value.item()
    if isinstance(value, np.ndarray):
        while name in extra:  # as "a" in "b" beside "b.a"
            name += "'"
        extra[name] = value
        return {"array": name}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _split(item, f"{name}.{key}", extra, owner) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [_split(item, f"{name}.{i}", extra, owner) for i, item in enumerate(value)]
    if isinstance(value, float):
        return value if isfinite(value) else {"number": str(value)}
    if value is None or isinstance(value, str | bool | int):
        return value
    mapping = "; names in mappings must be text, str(name)" if isinstance(value, Mapping) else ""
    raise ConfigurationError(
        f"{owner}.state() must return text, numbers, None, lists and mappings of them, and NumPy arrays; it holds "
        f"{value!r}{mapping}"
    )


def _joined(value: Any, extra: Arrays) -> Any:
    """Return what :func:`_split` took apart."""
    if isinstance(value, list):
        return [_joined(item, extra) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return extra[value["array"]]
    if "number" in value:
        return float(value["number"])
    return {key: _joined(item, extra) for key, item in value["mapping"].items()}

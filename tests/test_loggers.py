"""Loggers: a line of every epoch that counts, in files that others can read."""

from __future__ import annotations

import csv
import json
import math
import os
from functools import partial
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

import xpnet
from tests.pressing import press
from xpnet import Callback, ConfigurationError, Dense, Network, callbacks, ended_epochs, loggers

RNG = np.random.default_rng(1)
X = RNG.normal(size=(20, 3))
Y = (X[:, 0] > 0).astype(int)


def make(backend: xpnet.Backend, **arguments: Any) -> Network:
    return Network([Dense(5), "tanh", Dense(2)], backend=backend, seed=0, **arguments)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_results_may_be_logged_to_a_pipe(backend: xpnet.Backend, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # the pipe keeps what is written while someone has it open
    try:
        make(backend).fit(X, Y, epochs=2, callbacks=[xpnet.JSONLinesLogger(pipe, append=True)], verbose=0)
        lines = os.read(reading, 65536).splitlines()
    finally:
        os.close(reading)
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]


def test_a_csv_file_that_a_spreadsheet_has_saved_is_continued(backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    net = make(backend)
    net.fit(X, Y, callbacks=[xpnet.CSVLogger(path)], verbose=0)
    path.write_text(path.read_text(), encoding="utf-8-sig")  # with a mark of the byte order, as such programs write it
    net.fit(X, Y, callbacks=[xpnet.CSVLogger(path, append=True)], verbose=0)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1"]


@pytest.mark.parametrize("kind", [xpnet.JSONLinesLogger, xpnet.CSVLogger])
def test_a_log_that_cannot_be_written_is_refused_before_training(kind: Any, tmp_path: Path) -> None:
    for append in (False, True):
        with pytest.raises(ConfigurationError, match=rf"{kind.__name__}.path='.*' cannot be written.*another file"):
            kind(tmp_path, append=append).on_train_begin({})


def test_json_lines(backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("of an earlier run\n")
    net = make(backend)
    net.fit(X, Y, epochs=2, callbacks=[xpnet.JSONLinesLogger(path)], verbose=0)
    net.fit(X, Y, callbacks=[xpnet.JSONLinesLogger(path, append=True)], verbose=0)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.pop("epoch") for row in rows] == [0, 1, 2]
    for name, values in net.history.items():
        assert [row[name] for row in rows] == values


def is_told_of_an_epoch(code: CodeType) -> bool:
    return code.co_filename in (callbacks.__file__, ended_epochs.__file__, loggers.__file__) and code.co_name in (
        "report_next", "_report_epoch", "_enter", "end_epoch", "on_epoch_end", "_line", "_empty", "_write",
    )  # fmt: skip


# A trace comes between the end of a block and its exit, where no signal does, and leaves the file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_epoch_that_counts_has_one_line_wherever_control_c_comes(tmp_path: Path) -> None:
    lengths = set()
    for line in count(1):
        net, files = make("numpy"), [tmp_path / f"{line}.jsonl", tmp_path / f"{line}.csv"]
        told = [xpnet.JSONLinesLogger(files[0]), xpnet.CSVLogger(files[1])]
        if press(partial(net.fit, X, Y, epochs=2, callbacks=told, verbose=0), line, is_told_of_an_epoch) < line:
            break
        rows = [json.loads(text)["epoch"] for text in files[0].read_text().splitlines()]
        head, *table = csv.reader(files[1].read_text().splitlines() or [""])
        assert rows == [int(row[0]) for row in table] == list(range(net.epochs)), line
        assert head == (["epoch", *net.history] if rows else [])
        net.fit(X, Y, callbacks=[xpnet.CSVLogger(files[1], append=True)], verbose=0)
        again = csv.DictReader(files[1].read_text().splitlines())
        assert [row["epoch"] for row in again] == [*map(str, range(net.epochs))], line
        lengths.add(len(rows))
    assert lengths == {0, 1, 2}


def test_an_epoch_has_its_line_though_another_callback_raises(tmp_path: Path) -> None:
    class Raises(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 1:
                raise ValueError

    net, path = make("numpy"), tmp_path / "history.jsonl"
    with pytest.raises(ValueError):  # noqa: PT011
        net.fit(X, Y, epochs=3, callbacks=[Raises(), xpnet.JSONLinesLogger(path)], verbose=0)
    assert [json.loads(text)["loss"] for text in path.read_text().splitlines()] == net.history["loss"]
    assert net.epochs == 2


def test_json_has_null_for_nan(tmp_path: Path) -> None:
    logger = xpnet.JSONLinesLogger(tmp_path / "history.jsonl")
    logger.on_train_begin({})
    logger.on_epoch_end(0, {"loss": float("nan"), "accuracy": 0.5})
    assert (tmp_path / "history.jsonl").read_text() == '{"epoch": 0, "loss": null, "accuracy": 0.5}\n'


def test_csv(backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    net = make(backend)
    net.fit(X, Y, epochs=2, callbacks=[xpnet.CSVLogger(path)], verbose=0)
    net.fit(X, Y, callbacks=[xpnet.CSVLogger(path, append=True)], verbose=0)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name, values in net.history.items():
        assert [float(row[name]) for row in rows] == values
    assert b"\r\r" not in path.read_bytes()


class Sometimes(Callback):
    """Adds a result in every third epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if epoch % 3 == 2:
            logs["extra"] = float(epoch)


def read_columns(path: Path) -> dict[str, list[float | None]]:
    with path.open(newline="") as file:
        head, *rows = list(csv.reader(file))
    assert all(len(row) == len(head) for row in rows)
    return {name: [float(cell) if cell else None for cell in cells] for name, *cells in zip(head, *rows, strict=True)}


def expected_columns(net: Network) -> dict[str, list[float | None]]:
    results = {name: [None if math.isnan(value) else value for value in values] for name, values in net.history.items()}
    return {"epoch": list(range(net.epochs)), **results}


def test_csv_keeps_values_in_their_columns_when_results_come_and_go(backend: xpnet.Backend, tmp_path: Path) -> None:
    path, net = tmp_path / "history.csv", make(backend)
    net.fit(X, Y, epochs=2, validation_split=0.2, callbacks=[xpnet.CSVLogger(path)], verbose=0)
    net.fit(X, Y, epochs=3, callbacks=[Sometimes(), xpnet.CSVLogger(path, append=True)], verbose=0)
    columns = read_columns(path)
    assert columns == expected_columns(net)
    assert columns["extra"] == [None, None, 2.0, None, None]
    assert columns["val_loss"][2:] == [None] * 3


def test_csv_with_a_new_column_is_resumed_where_it_was(tmp_path: Path) -> None:
    class Fails(Callback):
        at = -1

        def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
            if epoch == self.at:
                raise RuntimeError("now")

    def fit(name: str, at: int = -1) -> None:
        fails = Fails()
        fails.at = at
        make(xpnet.open_backend("numpy")).fit(
            X, Y, epochs=6, callbacks=[Sometimes(), xpnet.CSVLogger(tmp_path / f"{name}.csv"), fails], verbose=0,
            checkpoint=tmp_path / name, resume=True, every="2 epochs",
        )  # fmt: skip

    fit("whole")
    with pytest.raises(RuntimeError, match="now"):
        fit("parts", at=3)  # the last checkpoint is from before the column
    fit("parts")
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("content", [b"a,b\r\n1,2\r\n", b"\x89PNG\r\n", b"\n"])
def test_csv_continues_no_other_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"CSVLogger.path='.*' must be a file that.*no column 'epoch': name"):
        make(xpnet.open_backend("numpy")).fit(X, Y, callbacks=[xpnet.CSVLogger(path, append=True)], verbose=0)
    assert path.read_bytes() == content

"""Runs that go on in another process end as if nothing had happened; what does not belong together is refused."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupted import finish, kill_at_random, start

import xpnet
from xpnet import CheckpointError, ConfigurationError, Dense, Network, resuming
from xpnet.resuming import Every, Run
from xpnet.weights import read_arrays

RNG = np.random.default_rng(0)
X = RNG.normal(size=(207, 3))
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 1)


class Killed(BaseException):
    """Stands for the end of a process."""


def make(backend: Any = "numpy", **arguments: Any) -> Network:
    layers = [Dense(7), xpnet.BatchNorm(), "relu", xpnet.Dropout(0.3), Dense(3)]
    rate = xpnet.CosineDecay(0.02, 500)
    optimizer = xpnet.chain(xpnet.ClipByNorm(1.0), xpnet.Adam(rate), xpnet.ExponentialMovingAverage(0.9))
    return Network(layers, **{"optimizer": optimizer, "seed": 5, "backend": backend, **arguments})


def watchers(log: Path) -> list[Any]:
    return [
        xpnet.EarlyStopping("val_loss", patience=2),
        xpnet.ReduceLROnPlateau("val_loss", patience=0),
        xpnet.CSVLogger(log),
    ]


def fit(net: Network, folder: Path, **arguments: Any) -> xpnet.History:
    settings = {"epochs": 3, "batch_size": 8, "verbose": 0, "checkpoint": folder, "resume": True, **arguments}
    x, y = settings.pop("data", (X, Y))
    return net.fit(x, y, **settings)


def outcome(net: Network, history: xpnet.History) -> Any:
    arrays = {name: array.tobytes() for name, array in read_arrays(net).items()}
    return arrays, dict(net.history), dict(history), net.epochs, net.steps, net.scale


def die_after(saves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run end in the middle of things, right after it has been saved so often."""
    count, save = 0, Run.save

    def dying(self: Run, *arguments: Any) -> None:
        nonlocal count
        save(self, *arguments)
        count += 1
        if count == saves:
            raise Killed

    monkeypatch.setattr(Run, "save", dying)


@pytest.mark.parametrize("rich", [False, True])
def test_a_resumed_run_says_where_it_goes_on_and_counts_from_there(
    rich: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if rich:
        pytest.importorskip("rich")
    verbose, folder = 1 + rich, Path("run")
    monkeypatch.chdir(tmp_path)
    net = make()
    fit(net, folder, epochs=2, verbose=verbose)
    assert "run" not in capsys.readouterr().out
    fit(net, folder, epochs=3, verbose=verbose)  # the same network, as in a notebook
    said = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in said if "/3" in line] == ["epoch 3/3"]
    assert "going on with the run in run, after 2 epochs" in said
    fit(make(), folder, epochs=3, verbose=verbose)
    ended = "nothing is trained: the run in run ended after 3 epochs; a larger number of epochs goes on"
    assert ended in capsys.readouterr().out.splitlines()
    stopping = {"callbacks": [xpnet.EarlyStopping("loss", patience=0, min_delta=9.0)], "verbose": verbose}
    fit(make(), tmp_path / "other", epochs=9, **stopping)
    capsys.readouterr()
    fit(make(), Path("other"), epochs=9, **stopping)
    assert "nothing is trained: the run in other was stopped after 2 epochs" in capsys.readouterr().out.splitlines()
    fit(make(), folder, epochs=4, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("every", ["1 epoch", "5 steps", "0.00001 minutes"])
def test_an_ended_run_goes_on_bit_for_bit(
    every: str, backend: xpnet.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"validation_split": 0.2, "batch_size": 3, "every": every, "epochs": 4}
    whole = make(backend)
    expected = outcome(whole, whole.fit(X, Y, callbacks=watchers(tmp_path / "a.csv"), verbose=0, epochs=4,
                                        validation_split=0.2, batch_size=3))  # fmt: skip
    for saves in (1, 2):
        with monkeypatch.context() as patch:
            die_after(saves, patch)
            with pytest.raises(Killed):
                fit(make(backend), tmp_path / "run", callbacks=watchers(tmp_path / "b.csv"), **data)
    net = make(backend)
    assert outcome(net, fit(net, tmp_path / "run", callbacks=watchers(tmp_path / "b.csv"), **data)) == expected
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    again = make(backend)  # a run that is over is over, best weights and all
    assert outcome(again, fit(again, tmp_path / "run", callbacks=watchers(tmp_path / "b.csv"), **data)) == expected
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize("kind", ["memmap", "batches", "all at once"])
def test_every_kind_of_source_goes_on(
    kind: str, backend: xpnet.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=X.shape) if kind == "memmap" else X
    x[:] = X
    arguments: dict[str, Any] = {"batch_size": None if kind == "all at once" else 8, "every": "3 steps", "epochs": 5}
    if kind == "batches":
        arguments["data"] = ([(X[i : i + 8], Y[i : i + 8]) for i in range(0, 200, 8)], None)
    else:
        arguments["data"] = (x, Y)
    whole, net = make(backend, inputs=3), make(backend, inputs=3)
    expected = outcome(whole, fit(whole, tmp_path / "whole", **arguments))
    with monkeypatch.context() as patch:
        die_after(2 if kind == "all at once" else 11, patch)
        with pytest.raises(Killed):
            fit(make(backend, inputs=3), tmp_path / "run", **arguments)
    assert outcome(net, fit(net, tmp_path / "run", **arguments)) == expected


def test_a_rate_that_a_hook_sets_after_a_streams_last_batch_is_not_that_batchs(tmp_path: Path) -> None:
    class Halves(xpnet.Callback):
        killed = False

        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.network.learning_rate /= 2

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if self.killed:
                raise Killed

    def run(folder: Path, killed: bool = False) -> list[float]:
        halves, batches = Halves(), [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 32, 8)]
        halves.killed = killed
        net = make(inputs=3, optimizer=xpnet.SGD(0.1))
        return fit(net, folder, data=(batches, None), epochs=2, every="4 steps", callbacks=[halves])["learning_rate"]

    expected = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "run", killed=True)
    assert run(tmp_path / "run") == expected == [0.1 / 2**3, 0.1 / 2**7]


def test_hooks_for_batches_and_a_hook_at_an_epochs_begin_are_not_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(folder: Path) -> list[Any]:
        class Tells(xpnet.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any) -> None:
                lines.append(epoch)

            def on_train_batch_end(self, batch: int, logs: Any) -> None:
                lines.append((batch, self.network.steps))

        rates = xpnet.LearningRateScheduler(lambda epoch, rate: rate / 2)
        net = make(optimizer=xpnet.SGD(0.1))
        fit(net, folder, every="7 steps", callbacks=[Tells(), rates])
        return [*lines, outcome(net, xpnet.History())]

    lines: list[Any] = []
    expected = told(tmp_path / "whole")
    lines = []
    with monkeypatch.context() as patch:
        die_after(2, patch)
        with pytest.raises(Killed):
            told(tmp_path / "run")
    assert told(tmp_path / "run") == expected


def test_a_finished_run_goes_on_with_more_epochs(backend: xpnet.Backend, tmp_path: Path) -> None:
    whole, net = make(backend), make(backend)
    expected = outcome(whole, fit(whole, tmp_path / "whole", epochs=5))
    fit(make(backend), tmp_path / "run", epochs=2)
    assert outcome(net, fit(net, tmp_path / "run", epochs=5)) == expected


def test_a_run_counts_from_where_its_network_stood(tmp_path: Path) -> None:
    net = make()
    net.fit(X, Y, epochs=2, verbose=0)
    assert fit(net, tmp_path / "run", epochs=1).epochs == 1
    again = make()
    assert fit(again, tmp_path / "run", epochs=2).epochs == 2
    assert (again.epochs, again.history.epochs) == (4, 4)


def test_only_the_newest_are_kept_and_each_is_a_network(tmp_path: Path) -> None:
    net = make()
    fit(net, tmp_path / "run", epochs=4, keep=3)
    files = sorted((tmp_path / "run").iterdir())
    assert [file.name for file in files] == [f"step-{step:010d}.safetensors" for step in (52, 78, 104)]
    loaded = xpnet.load(files[-1])
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


def test_a_file_that_somebody_has_open_does_not_end_training_and_goes_with_a_later_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where such a file cannot be removed."""
    unlink, tried = Path.unlink, []

    def refuse_twice(path: Path, missing_ok: bool = False) -> None:
        if path.name == "step-0000000026.safetensors":
            tried.append(path)
            if len(tried) <= 2:
                raise PermissionError(13, "The process cannot access the file")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse_twice)
    fit(make(), tmp_path / "run", epochs=4, keep=1)
    assert len(tried) == 3
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["step-0000000104.safetensors"]


def test_a_damaged_file_is_passed_over(tmp_path: Path) -> None:
    whole, net = make(), make()
    expected = outcome(whole, fit(whole, tmp_path / "run"))
    newest = max((tmp_path / "run").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(RuntimeWarning, match="is passed over, as no run can go on from it"):
        history = fit(net, tmp_path / "run")
    assert outcome(net, history) == expected
    for file in (tmp_path / "run").iterdir():
        file.write_bytes(b"")
    with pytest.warns(RuntimeWarning), pytest.raises(CheckpointError, match="name another folder to start anew"):
        fit(make(), tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 6}, "seed was 5 and is 6 now"),
        ({"dtype": "float64"}, "dtype was 'float32' and is 'float64' now"),
        ({"optimizer": xpnet.SGD(0.1)}, "optimizer was 'Chain' and is 'SGD' now"),
        ({"loss": "hinge"}, "loss was 'CrossEntropy' and is 'Hinge' now"),
        ({"metrics": []}, r"metrics was \[Accuracy\] and is \[\] now"),
    ],
)
def test_another_network_is_refused(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    fit(make(), tmp_path / "run", epochs=1)
    before = {file: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    net = make(**changed)
    with pytest.raises(ConfigurationError, match=f"cannot be resumed by this call: {said}"):
        fit(net, tmp_path / "run", epochs=2)
    assert not net.built
    assert {file: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_other_layers_are_named(tmp_path: Path) -> None:
    Network([Dense(4), "relu", Dense(3)]).fit(X, Y, checkpoint=tmp_path, verbose=0)
    with pytest.raises(ConfigurationError, match=r"call: layers\[0\]\.units was 4 and is 5 now"):
        Network([Dense(5), "relu", Dense(3)]).fit(X, Y, checkpoint=tmp_path, resume=True, verbose=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"data": (X[:200], Y[:200])},
            "x and y differ: the run has 207 examples .* and none for validation, this call 200 and none",
        ),
        ({"data": (X[:, :2], Y)}, r"inputs\[0\] was 3 and is 2 now"),
        ({"batch_size": 9}, "batch_size was 8 and is 9 now"),
        ({"shuffle": False}, "shuffle was True and is False now"),
        (
            {"validation_split": 0.5},
            "validation_split differs: .* 207 .* none for validation, this call 10[34] and 10[34]",
        ),
        ({"validation_data": (X, Y)}, "validation_data differs: .* none for validation, this call 207 and 207"),
        ({"callbacks": [xpnet.TerminateOnNaN()]}, r"callbacks was \[\] and is \['TerminateOnNaN'\] now"),
    ],
)
def test_other_data_and_arguments_are_refused(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    fit(make(), tmp_path / "run", epochs=1)
    with pytest.raises(ConfigurationError, match=said):
        fit(make(), tmp_path / "run", **changed)


def test_a_folder_with_a_run_is_not_written_over(tmp_path: Path) -> None:
    fit(make(), tmp_path / "run", epochs=1)
    with pytest.raises(ConfigurationError, match="give resume=True to go on with it, or name another folder"):
        fit(make(), tmp_path / "run", resume=False)
    with pytest.raises(ConfigurationError, match="resume=True needs the folder"):
        make().fit(X, Y, resume=True)


@pytest.mark.parametrize("given", [{"every": "2 epochs"}, {"keep": 5}], ids=str)
def test_how_to_keep_checkpoints_says_nothing_without_a_folder(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="say how checkpoints are kept, and none are: give checkpoint="):
        make().fit(X, Y, **given)


def test_a_network_s_file_is_no_run(tmp_path: Path) -> None:
    net = make()
    net.fit(X, Y, epochs=1, verbose=0)
    net.save(tmp_path / "step-0000000003.safetensors")
    with (
        pytest.warns(RuntimeWarning, match=r"it holds a network, and no run that could go on; xpnet\.load"),
        pytest.raises(CheckpointError, match=r"none of which a run can go on from; name another folder"),
    ):
        fit(make(), tmp_path)
    assert xpnet.load(tmp_path / "step-0000000003.safetensors").epochs == 1


@pytest.mark.parametrize(
    "every", ["", "5", "five steps", "0 steps", "1.5 epochs", "-1 minutes", "nan minutes", 5, None]
)
def test_a_bad_interval_is_refused(every: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"every must be text such as '500 steps'"):
        fit(make(), tmp_path, every=every)


def test_intervals() -> None:
    assert [Every.parse(text) for text in ("1 step", "2 epochs", "0.5 minutes")] == [
        Every(1, "step"),
        Every(2, "epoch"),
        Every(0.5, "minute"),
    ]


@pytest.mark.parametrize("changed", [{"keep": 0}, {"resume": 1}, {"checkpoint": 5}])
def test_other_bad_arguments_are_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(changed))):
        fit(make(), tmp_path, **changed)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"^checkpoint='.*run' cannot be made a folder .*can be written to"):
        fit(make(), tmp_path / "file" / "run")


def test_a_file_is_no_folder_for_a_run(tmp_path: Path) -> None:
    make().fit(X, Y, checkpoint=tmp_path / "run", verbose=0)
    (file,) = (tmp_path / "run").iterdir()
    with pytest.raises(CheckpointError, match=r"^checkpoint='.*safetensors' is a file, .*run', resume=True goes on"):
        fit(make(), file)
    file.rename(tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"net.safetensors' is a file, .*name a folder.*xpnet\.load"):
        fit(make(), tmp_path / "net.safetensors")


def test_numbers_of_numpy_in_a_state_become_python_s(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Counts(xpnet.Callback):
        def state(self) -> dict[str, Any]:
            return {"a": np.float32(0.5), "b": [np.int64(3), np.bool_(True), np.float64("nan")]}

        def restore(self, state: dict[str, Any]) -> None:
            seen.append(state)

    for _ in range(2):
        net = Network([Dense(2)], loss="mse", inputs=2, seed=0)
        net.fit(np.ones((3, 2)), np.ones((3, 2)), checkpoint=tmp_path, resume=True, callbacks=[Counts()], verbose=0)
    assert repr(seen) == "[{'a': 0.5, 'b': [3, True, nan]}]"


def test_names_in_a_state_are_text(tmp_path: Path) -> None:
    class Numbered(xpnet.Callback):
        def state(self) -> dict[str, Any]:
            return {"by epoch": {1: 0.5}}

    net = Network([Dense(2)], loss="mse", inputs=2, seed=0)
    with pytest.raises(
        ConfigurationError, match=r"Numbered.state\(\) .* holds {1: 0.5}; names in mappings must be text"
    ):
        net.fit(np.ones((3, 2)), np.ones((3, 2)), checkpoint=tmp_path, callbacks=[Numbered()], verbose=0)


def test_a_state_that_no_file_holds_is_refused(tmp_path: Path) -> None:
    class Odd(xpnet.Callback):
        def state(self) -> dict[str, Any]:
            return {"odd": object()}

    with pytest.raises(ConfigurationError, match=r"Odd.state\(\) must return"):
        fit(make(), tmp_path, callbacks=[Odd()])
    for state, why in (({"hash": 10**85}, "86 characters"), ([[]], "nested too deeply")):
        for _ in range(70 if why.startswith("nested") else 0):
            state = [state]
        Odd.state = lambda self, state=state: {"odd": state}  # type: ignore[method-assign]
        with pytest.raises(ConfigurationError, match=rf"Odd.state\(\) cannot be saved, for no file .*: .*{why}"):
            fit(make(), tmp_path, callbacks=[Odd()])
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_a_callback_remembers_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"a": [1, 2.5, None, "text", True], "b": {"array": 1}, "inf": float("-inf"), "c": {"x": {"y": np.eye(2)}}}
    state["c.x.y"] = np.ones(3)
    seen: list[Any] = []

    class Keeps(xpnet.Callback):
        def state(self) -> dict[str, Any]:
            return state

        def restore(self, state: dict[str, Any]) -> None:
            seen.append(state)

    for epochs in (1, 2):
        fit(make(), tmp_path, epochs=epochs, callbacks=[Keeps()])
    (found,) = seen
    np.testing.assert_array_equal(found["c"]["x"].pop("y"), np.eye(2))
    np.testing.assert_array_equal(found.pop("c.x.y"), np.ones(3))
    del state["c.x.y"]
    assert found == {**state, "c": {"x": {}}}


class Remembers(xpnet.Callback):
    """Remembers what it is given."""

    def __init__(self, given: Any = None) -> None:
        self.given = given

    def state(self) -> dict[str, Any]:
        return {"given": self.given}

    def restore(self, state: dict[str, Any]) -> None:
        self.given = state["given"]


LONG = [{"epoch": i, "kinds": [float("inf"), None, True, i, float(i)], "loss": 1 / (i + 1)} for i in range(30_000)]


@pytest.mark.parametrize(
    "short", [resuming.SHORT_STATE, 1 << 20], ids=["as an array", "in the header, as in files before"]
)
def test_a_long_state_comes_back_as_it_was(short: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "lists": LONG[: 3_000 if short > resuming.SHORT_STATE else None],
        "text": 20_000 * "é",
        "array": np.eye(2),
    }
    monkeypatch.setattr(resuming, "SHORT_STATE", short)
    fit(make(), tmp_path, epochs=1, callbacks=[Remembers(given)])
    again = Remembers()
    fit(make(), tmp_path, epochs=1, callbacks=[again])
    np.testing.assert_array_equal(again.given.pop("array"), given.pop("array"))
    assert repr(again.given) == repr(given)


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        (4_000 * "a", ConfigurationError, r"Remembers.state\(\) has 4,02\d bytes as JSON; .*np.asarray"),
        (11_000 * [np.ones(1)], CheckpointError, r"Remembers.state\(\) has 11,000 arrays: .*np.stack"),
    ],
    ids=["text", "arrays"],
)
def test_a_state_that_is_too_long_is_named(
    given: Any, error: type[Exception], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "SHORT_STATE", 1_000)
    fit(make(), tmp_path, epochs=1, callbacks=[xpnet.EarlyStopping("loss"), Remembers(2_000 * "a")])
    monkeypatch.setattr(resuming, "MAX_STATE", 3_000 if isinstance(given, str) else resuming.MAX_STATE)
    with pytest.raises(error, match=why):
        fit(make(), tmp_path / "other", epochs=1, callbacks=[xpnet.EarlyStopping("loss"), Remembers(given)])
    monkeypatch.setattr(resuming, "MAX_STATE", 1_500)
    with (
        pytest.raises(CheckpointError, match="none of which"),
        pytest.warns(RuntimeWarning, match="a callback's state has 2,"),
    ):
        fit(make(), tmp_path, epochs=1, callbacks=[xpnet.EarlyStopping("loss"), Remembers()])


@pytest.mark.parametrize("options", [[], ["--without", "llvmlite"]])
def test_five_kills_at_random_moments_leave_no_trace(options: list[str], backend_name: str, tmp_path: Path) -> None:
    if backend_name != "numpy":
        pytest.skip("other libraries take long to start: nox -s soak kills them a hundred times")
    expected, chance = finish(start(tmp_path / "whole", *options)), random.Random(1)
    run, killed = tmp_path / "run-0", 0
    while killed < 5:
        if kill_at_random(run, 0.3, chance, *options):
            killed += 1
        else:  # it had come to its end: another one is killed
            assert finish(start(run, *options)) == expected
            run = tmp_path / f"run-{killed}"
    assert finish(start(run, *options)) == expected


@pytest.mark.parametrize(
    "damage",
    [
        {"first": "0"},
        {"done": -1},
        {"done": 3},
        {"stopped": None},
        {"results": [1]},
        {"callbacks": []},
        {"callbacks": "none"},
        {"settings": []},
    ],
    ids=str,
)
def test_a_damaged_note_is_refused_and_the_network_left_alone(
    damage: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(make(), tmp_path, callbacks=[xpnet.EarlyStopping("loss")])
    read = resuming.read_json
    monkeypatch.setattr(resuming, "read_json", lambda text: read(text) | damage)
    net = make(inputs=3)
    before = net.get_weights()
    with pytest.raises(CheckpointError, match="none of which"), pytest.warns(RuntimeWarning, match="is damaged"):
        fit(net, tmp_path, callbacks=[xpnet.EarlyStopping("loss")])
    for name, array in net.get_weights().items():
        np.testing.assert_array_equal(array, before[name])


TWO = """
import os, sys, time
import numpy as np
import xpnet

class Waits(xpnet.Callback):
    def on_epoch_end(self, epoch, logs):
        if epoch == 3 and len(sys.argv) > 2:
            if sys.argv[2] == "forks" and os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            print("training", flush=True)
            sys.stdin.readline()

x = np.random.default_rng(0).normal(size=(60, 3))
net = xpnet.Network([xpnet.Dense(2)], seed=1)
net.fit(x, (x[:, 0] > 0).astype(int), epochs=6, callbacks=[Waits()], checkpoint=sys.argv[1], resume=True, verbose=0)
print("done", net.epochs)
"""


def two(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a short run in a process; "waits" and "forks" wait in the fourth epoch, the latter with a child."""
    command = [sys.executable, "-c", TWO, str(folder), *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    if options:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
    return process


needs_flock = pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")


@needs_flock
def test_a_second_process_is_refused_and_harms_no_file_of_the_first(tmp_path: Path) -> None:
    first = two(tmp_path, "waits")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    _, said = two(tmp_path).communicate(timeout=300)
    assert f"CheckpointError: another call of fit trains in checkpoint={str(tmp_path)!r} now" in said
    assert f"name another folder for this run, such as '{tmp_path}-2'" in said
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert first.communicate("\n", timeout=300) == ("done 6\n", "")
    assert [file.name for file in sorted(tmp_path.iterdir())] == [f"step-{n:010d}.safetensors" for n in (10, 12)]


@needs_flock
@pytest.mark.parametrize("kind", ["waits", "forks"])
def test_a_killed_process_holds_its_folder_no_longer(kind: str, tmp_path: Path) -> None:
    """Nor does a child of it that lives on."""
    first = two(tmp_path, kind)
    first.kill()
    first.wait()
    try:
        assert two(tmp_path).communicate(timeout=300) == ("done 6\n", "")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        for pipe in (first.stdin, first.stdout, first.stderr):
            assert pipe is not None
            pipe.close()


@needs_flock
def test_a_folder_is_free_after_an_error_and_held_while_training(tmp_path: Path) -> None:
    class Trains(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            fit(make(), tmp_path)

    with pytest.raises(CheckpointError, match="another call of fit trains in checkpoint="):
        fit(make(), tmp_path, callbacks=[Trains()])
    fit(make(), tmp_path, epochs=1)


def test_only_files_of_this_run_are_removed(tmp_path: Path) -> None:
    """Where the system has no lock, two runs at least keep what the other has written."""

    class Writes(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            for step in (1, 9999):
                (tmp_path / f"step-{step:010d}.safetensors").write_bytes(b"somebody else's")

    fit(make(), tmp_path, callbacks=[Writes()], keep=1)
    assert [int(file.name[5:15]) for file in sorted(tmp_path.iterdir())] == [1, 78, 9999]

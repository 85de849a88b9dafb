"""What TensorBoard gets to read: the event file, record by record."""

from __future__ import annotations

import copy
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Network, TensorBoard

pytest.importorskip("tensorboardX", reason="pip install 'xpnet[tensorboard]'")

X, Y = xpnet.clouds(10, seed=0)


def records(folder: Path) -> Iterator[bytes]:
    """Yield the records of every event file: length (8 bytes), its checksum (4), the record, its checksum (4)."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            yield content[place + 12 : place + 12 + length]
            place += 16 + length
        assert place == len(content)  # nothing is cut off


def values(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return what was logged under each tag: steps and values."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, Any]]] = {}
    for record in records(folder):
        event = Event.FromString(record)
        for value in event.summary.value:
            logged = value.histo if value.WhichOneof("value") == "histo" else value.simple_value
            found.setdefault(value.tag, []).append((event.step, logged))
    return found


def test_results_and_the_rate_of_every_epoch(backend: xpnet.Backend, tmp_path: Path) -> None:
    net = Network([Dense(3)], backend=backend)
    folder = tmp_path / "new" / "run"
    history = net.fit(X, Y, epochs=3, validation_split=0.2, callbacks=[TensorBoard(folder)], verbose=0)
    found = values(folder)
    tags = {
        "loss": "loss/training",
        "accuracy": "accuracy/training",
        "val_loss": "loss/validation",
        "val_accuracy": "accuracy/validation",
        "learning_rate": "learning_rate",
    }
    assert set(found) == set(tags.values())
    for name, tag in tags.items():
        assert [step for step, _ in found[tag]] == [0, 1, 2]
        np.testing.assert_allclose([value for _, value in found[tag]], history[name], rtol=1e-6)


def test_histograms_of_weights_and_gradients(backend: xpnet.Backend, tmp_path: Path) -> None:
    net = Network([Dense(4), "relu", Dense(3)], backend=backend)
    logger = TensorBoard(tmp_path, histograms_every=2, gradient_data=(X[:8], Y[:8]))
    net.fit(X, Y, epochs=4, callbacks=[logger], verbose=0)
    found = values(tmp_path)
    for name, weights in net.get_weights().items():
        assert [step for step, _ in found[f"weights/{name}"]] == [1, 3]
        last = found[f"weights/{name}"][-1][1]
        assert last.num == weights.size
        np.testing.assert_allclose(
            [last.min, last.max, last.sum], [weights.min(), weights.max(), weights.sum()], atol=1e-6
        )
    for name, gradient in net.gradients(X[:8], Y[:8]).items():
        last = found[f"gradients/{name}"][-1][1]
        assert last.num == gradient.size
        np.testing.assert_allclose([last.min, last.max], [gradient.min(), gradient.max()], atol=1e-6)


def test_logging_does_not_change_training(tmp_path: Path) -> None:
    nets = [Network([Dense(3)], seed=1) for _ in range(2)]
    for net, callbacks in zip(
        nets, ([], [TensorBoard(tmp_path, histograms_every=1, gradient_data=(X, Y))]), strict=True
    ):
        net.fit(X, Y, epochs=2, callbacks=callbacks, verbose=0)
    assert nets[0].history == nets[1].history


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_closes_the_file_with_what_was_logged(error: type[BaseException], tmp_path: Path) -> None:
    class Interrupts(xpnet.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
            if epoch == 2:
                raise error("now")

    logger = TensorBoard(tmp_path)
    net = Network([Dense(3)])
    with pytest.raises(error, match="now"):
        net.fit(X, Y, epochs=5, callbacks=[logger, Interrupts()], verbose=0)
    assert logger._writer is None
    assert [step for step, _ in values(tmp_path)["loss/training"]] == [0, 1]
    net.fit(X, Y, epochs=1, callbacks=[logger], verbose=0)  # and goes on in a file beside the first
    assert sorted(step for step, _ in values(tmp_path)["loss/training"]) == [0, 1, 2]


def test_training_that_breaks_off_with_nan_is_logged(tmp_path: Path) -> None:
    net = Network([Dense(1)], loss="mse", inputs=2, check_finite=False)
    callbacks = [TensorBoard(tmp_path, histograms_every=1), "terminate_on_nan"]
    net.fit(X, np.full(len(X), np.nan), epochs=3, callbacks=callbacks, verbose=0)
    found = values(tmp_path)
    assert np.isnan(found["loss/training"][0][1])
    assert not any(tag.startswith("weights/") for tag in found)


def test_no_epoch_makes_no_file(tmp_path: Path) -> None:
    Network([Dense(3)]).fit(X, Y, epochs=0, callbacks=[TensorBoard(tmp_path / "run")], verbose=0)
    assert not (tmp_path / "run").exists()


def test_the_name_alone_says_what_is_missing() -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"write TensorBoard\(log_dir\)"):
        Network([Dense(3)]).fit(X, Y, callbacks=["tensorboard"], verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"log_dir": 3}, "log_dir must be the path"),
        ({"histograms_every": -1}, "histograms_every must be"),
        ({"histograms_every": 1, "gradient_data": X}, r"gradient_data must be a batch \(x, y\); got ndarray"),
        ({"histograms_every": 1, "gradient_data": (X, Y, Y)}, r"must be a batch \(x, y\); got a tuple of 3"),
        ({"gradient_data": (X, Y)}, "needs histograms_every"),
    ],
)
def test_unusable_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(xpnet.ConfigurationError, match=message):
        TensorBoard(**{"log_dir": "runs", **arguments})


def test_a_folder_that_cannot_be_written_costs_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    net = Network([Dense(3)])
    with pytest.raises(xpnet.ConfigurationError, match="cannot be written"):
        net.fit(X, Y, callbacks=[TensorBoard(tmp_path / "file")], verbose=0)
    assert net.steps == 0


def test_without_tensorboardx_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        xpnet.MissingExtraError, match=r"TensorBoard needs tensorboardX.*pip install 'xpnet\[tensorboard\]'"
    ):
        TensorBoard("runs")


def test_a_run_that_goes_on_within_an_epoch_is_logged_to_its_end(tmp_path: Path) -> None:
    class Interrupts(xpnet.Callback):
        batches = -1

        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            self.batches -= 1
            if not self.batches:
                raise KeyboardInterrupt

    interrupts = Interrupts()

    def fit(*, resume: bool) -> None:
        callbacks = [interrupts, TensorBoard(tmp_path / "log")]
        run: Any = {"checkpoint": tmp_path / "run", "every": "2 steps", "resume": resume}
        Network([Dense(3)], seed=0).fit(X, Y, epochs=2, batch_size=4, callbacks=callbacks, verbose=0, **run)

    interrupts.batches = 6
    with pytest.raises(KeyboardInterrupt):
        fit(resume=False)
    fit(resume=True)
    assert [step for step, _ in values(tmp_path / "log")["loss/training"]] == [0, 1]


def test_a_copy_logs_as_the_first_does(tmp_path: Path) -> None:
    """scikit-learn copies an estimator's callbacks, and pickles them for its processes."""
    for number, made in enumerate((copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)))):
        board = made(TensorBoard(tmp_path / str(number)))
        Network([Dense(3)], seed=0).fit(X, Y, callbacks=[board], verbose=0)
        assert "loss/training" in values(tmp_path / str(number))

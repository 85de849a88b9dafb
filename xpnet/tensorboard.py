"""Training followed in TensorBoard, through tensorboardX (extra ``tensorboard``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet.arguments import explains_arguments
from xpnet.callbacks import Callback, Logs
from xpnet.checks import StrPath, check_integer, check_path
from xpnet.errors import ConfigurationError
from xpnet.extras import import_extra

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Log each epoch's results, the learning rate, and where asked histograms, for TensorBoard to show.

    A result stands under ``loss/training`` and ``loss/validation``, the rate under ``learning_rate``, histograms
    under ``weights/0.weight`` and ``gradients/0.weight``; the step is the epoch, counted from 0 over all of the
    network's training. The file is closed when training ends, also by Ctrl-C or an error. To look at it:
    ``tensorboard --logdir FOLDER``, with TensorBoard installed beside or elsewhere.

    Parameters
    ----------
    log_dir : str or Path
        Folder of this run, made where it is missing. Runs in folders beside each other are compared; a second run
        in one folder adds to the first.
    histograms_every : int
        Epochs between histograms of weights, and of gradients where there is ``gradient_data``; 0 for none.
    gradient_data : (x, y), optional
        The batch whose gradients are logged; a pass beside training that does not change the network.

    Raises
    ------
    MissingExtraError
        There is no tensorboardX.
    ConfigurationError
        An argument is unusable, or the folder cannot be written.
    """

    @explains_arguments
    def __init__(self, log_dir: StrPath, *, histograms_every: int = 0, gradient_data: Any = None) -> None:
        self.log_dir = check_path("TensorBoard.log_dir", log_dir, "the path of a folder")
        _library()  # which is missed now, not when the first epoch begins
        self.histograms_every = check_integer("TensorBoard.histograms_every", histograms_every, least=0)
        if gradient_data is not None and (not isinstance(gradient_data, tuple | list) or len(gradient_data) != 2):
            kind = type(gradient_data).__name__
            got = f"a {kind} of {len(gradient_data)}" if isinstance(gradient_data, tuple | list) else kind
            raise ConfigurationError(f"TensorBoard.gradient_data must be a batch (x, y); got {got}")
        if gradient_data is not None and not self.histograms_every:
            raise ConfigurationError("TensorBoard.gradient_data needs histograms_every: how often to log its gradients")
        self.gradient_data = gradient_data
        self._writer: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Open the file before the first epoch, so that a folder that cannot be written costs no training."""
        self._open()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Log the epoch."""
        self._open()  # here too: a run that goes on within an epoch has no beginning of it
        for name, value in logs.items():
            self._writer.add_scalar(_tag(name), value, epoch)
        if self.histograms_every and (epoch + 1) % self.histograms_every == 0:
            self._add_histograms("weights", self.network.get_weights(), epoch)
            if self.gradient_data is not None:
                self._add_histograms("gradients", self.network.gradients(*self.gradient_data), epoch)
        self._writer.flush()

    def on_train_end(self, logs: Logs) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def on_train_interrupted(self, logs: Logs) -> None:
        """Close the file: what was logged can be looked at."""
        self.on_train_end(logs)

    def _open(self) -> None:
        if self._writer is None:
            try:
                self.log_dir.mkdir(parents=True, exist_ok=True)
                # Files are named by the second; a number keeps a run from overwriting one of the same second.
                number = len(list(self.log_dir.glob("events.out.tfevents.*")))
                self._writer = _library().SummaryWriter(str(self.log_dir), filename_suffix=f".{number}")
            except OSError as error:
                raise ConfigurationError(
                    f"TensorBoard.log_dir='{self.log_dir}' cannot be written ({error.strerror}); name another folder"
                ) from error

    def _add_histograms(self, kind: str, arrays: dict[str, Any], epoch: int) -> None:
        for name, values in arrays.items():
            if np.isfinite(values).all():  # a histogram of NaN cannot be written, and the loss tells of it
                self._writer.add_histogram(f"{kind}/{name}", values, epoch)


def _library() -> Any:
    return import_extra("tensorboardX", "tensorboard", "TensorBoard")


def _tag(name: str) -> str:
    """Return where a result stands: training and validation of one result together, in one group.

    >>> _tag("val_loss"), _tag("loss"), _tag("learning_rate")
    ('loss/validation', 'loss/training', 'learning_rate')
    """
    if name == "learning_rate":
        return name
    return f"{name.removeprefix('val_')}/{'validation' if name.startswith('val_') else 'training'}"

"""The network that users hold: layers, a loss, an optimizer and a backend, with training state."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

import xpnet
from xpnet import fitting, losses
from xpnet.aligned import aligned_copy
from xpnet.arguments import explains_arguments
from xpnet.arrays import Host, as_real_array, check_features, check_finite, needs_no_checks, portable
from xpnet.attributes import SetOnce, check_attribute_name
from xpnet.backend import Array, Backend, dtype_name, open_backend
from xpnet.callbacks import Callback
from xpnet.checks import StrPath, check_flag, check_integer, check_real, check_seed
from xpnet.compiled import Compiled, step_order
from xpnet.configuration import as_shape, check_last_layer, resolve_metrics, resolve_optimizer
from xpnet.data_adapter import DataAdapter
from xpnet.errors import BackendError, CheckpointError, ConfigurationError, NotBuiltError, ShapeError, unknown_attribute
from xpnet.evaluation import EVALUATION_ROWS, evaluate
from xpnet.history import History
from xpnet.layers import Layer, Sequential
from xpnet.losses import Loss
from xpnet.losses.base import check_reduction
from xpnet.metrics import Metric
from xpnet.optimizers import Optimizer, rate_at
from xpnet.optimizers.chaining import averages
from xpnet.parameters import Layout, Shape, flatten, unflatten
from xpnet.random import key_words
from xpnet.records import is_plain
from xpnet.registry import resolve
from xpnet.training import Program, State
from xpnet.weights import checked_weights, flat_parameters, read_weights, write_weights

__all__ = ["Network"]


class Network:
    """A neural network: layers, a loss, an optimizer, on one backend.

    Parameters
    ----------
    layers : iterable of Layer or str, or Sequential
        From the input to the scores. The last layer gives raw scores (logits): the losses apply softmax or
        sigmoid themselves.
    loss : Loss or str
        ``"cross_entropy"``, ``"binary_cross_entropy"``, ``"mse"``, ``"mae"``, ``"huber"``, ``"quantile"``,
        ``"poisson"``, ``"hinge"``.
    optimizer : optimizer, chain or str
        Default: Adam.
    metrics : sequence of Metric or str, optional
        Reported beside the loss. Default: accuracy for classes, none otherwise.
    backend : str or Backend
        The array library: ``"numpy"``, ``"cupy"``, ``"torch"``, ``"jax"``, ``"auto"``, ...
    device : object, optional
        Where, in the library's terms.
    dtype : str, optional
        ``"float32"`` or ``"float64"``. Default: float32, or what an open backend has.
    precision : str, optional
        ``"bfloat16"``: layers multiply matrices of numbers that are rounded to it, and all else stays in float32.
        Default: the dtype, or what an open backend has.
    seed : int
        Decides first weights, batch order, validation split and dropout masks.
    inputs : int or tuple of int, optional
        Shape of one input; builds at once. Default: taken from the first data.
    check_finite : bool
        Whether ``fit``, ``predict`` and ``evaluate`` refuse NaN and infinity (one look at the data a call; of an
        iterable, at each batch that is measured, and at the first one that is trained on).

    Raises
    ------
    ConfigurationError
        A name or the dtype is unknown, ``check_finite`` is neither True nor False, or layers, loss and metrics, or
        dtype and precision, or an open backend and what is given beside it, do not go together.
    BackendError
        The array library or device cannot be had.
    ShapeError
        The layers do not fit ``inputs``.

    Warns
    -----
    UserWarning
        A file cannot hold the network: a layer, a loss, an optimizer or a metric of yours is no frozen dataclass.

    Examples
    --------
    >>> from xpnet import Dense, Network, spiral
    >>> x, y = spiral(points=50, seed=0)
    >>> net = Network([Dense(32), "relu", Dense(3)], seed=0)
    >>> history = net.fit(x, y, epochs=5, verbose=0)
    >>> net.predict(x).shape, sorted(history)
    ((150, 3), ['accuracy', 'learning_rate', 'loss'])
    """

    @explains_arguments
    def __init__(
        self,
        layers: Iterable[Layer | str] | Sequential,
        *,
        loss: Loss | str = "cross_entropy",
        optimizer: Optimizer | str = "adam",
        metrics: Sequence[Metric | str] | None = None,
        backend: str | Backend = "numpy",
        device: object = None,
        dtype: object = None,
        precision: object = None,
        seed: int = 0,
        inputs: int | Shape | None = None,
        check_finite: bool = True,
    ) -> None:
        self.model: Final = layers if isinstance(layers, Sequential) else Sequential(layers)
        self.loss: Final[Loss] = resolve("loss", loss, losses.NAMES)
        check_reduction(self.loss.reduction)
        self.optimizer: Final[Optimizer] = resolve_optimizer(optimizer)
        self.metrics: Final[tuple[Metric, ...]] = resolve_metrics(metrics, self.loss)
        check_last_layer(self.model, self.loss)
        self.seed: Final = check_seed(seed)
        self.check_finite = check_flag("check_finite", check_finite)
        if problem := self._save_problem():
            warnings.warn(f"the network can be trained but not saved: {problem}", stacklevel=3)
        self.backend: Final = open_backend(backend, device=device, dtype=dtype, precision=precision)
        self._device = device
        self.history = History()
        self.epochs = 0
        self.steps = 0
        self.stop_training = False
        self.in_shape = None
        self.out_shape = ()
        self._scale = 1.0
        if inputs is not None:
            self.build(inputs)

    check_finite: bool
    history: History
    epochs: int
    steps: int
    stop_training: bool
    in_shape: Shape | None
    out_shape: Shape

    layout: Layout
    state_layout: Layout
    compiled: Compiled
    state: State
    """All that training changes. These four attributes exist once the network is built."""

    if not TYPE_CHECKING:  # type checkers use the Final annotations in __init__
        model = SetOnce("make a new Network with other layers; net.get_weights() and set_weights() carry weights over")
        loss = SetOnce("make a new Network(..., loss=...); net.get_weights() and set_weights() carry weights over")
        optimizer = SetOnce("net.with_optimizer(...) gives a network that goes on with another")
        metrics = SetOnce("make a new Network(..., metrics=[...])")
        seed = SetOnce("make a new Network(..., seed=...)")
        backend = SetOnce("net.to('torch') gives the network on another backend")

    # Building

    @property
    def built(self) -> bool:
        """Whether the input's shape is known and parameters exist."""
        return self.in_shape is not None

    def build(self, inputs: int | Shape) -> Network:
        """Make the parameters for inputs of this shape (without the batch axis), and return the network.

        Raises
        ------
        ShapeError
            The layers do not fit the shape, or the network was built for another.
        """
        shape = as_shape(inputs)
        if self.built:
            if shape != self.in_shape:
                raise ShapeError(
                    f"the network was built for inputs of shape {self.in_shape}; got {shape}: make a new one"
                )
            return self
        self.check_buildable(shape)
        self.build_from(shape, None)
        return self

    def build_from(self, shape: Shape, weights: Mapping[str, Host] | None) -> None:
        """Build for inputs of this shape, with weights as :func:`xpnet.weights.read_weights` returns them, or new ones.

        Names and shapes are not checked.
        """
        if not 0 <= (rate := self.scheduled_rate(0)) < inf:
            raise ConfigurationError(
                f"learning_rate must not be {'negative' if rate < 0 else 'infinite or NaN'}; the schedule "
                f"{self.optimizer.learning_rate}, which is called with 0 at the first step, begins with {rate:g}"
            )
        built = self.model.build(shape)
        self.layout = Layout(built.params)
        self.state_layout = Layout(built.state)
        backend = self.backend
        program = Program(
            self.model,
            self.loss,
            self.optimizer,
            self.metrics,
            self.layout,
            built.out_shape,
            backend.float,
            backend.xp,
            backend_key=(backend.name, str(backend.device), backend.dtype, backend.precision, id(backend.nn)),
        )
        self.compiled = Compiled(program, backend)
        if weights is None:
            flat = self.layout.initialize(self.seed)
            weights = dict(flatten(self.state_layout.views(self.state_layout.initialize(self.seed), np)))
        else:
            flat = flat_parameters(self.layout, weights)
        layers = {slot.name: self.from_host(weights[slot.name]) for slot in self.state_layout.slots}
        # The array is new in either case, so it need not be copied.
        own = flat if flat.dtype == backend.dtype else aligned_copy(flat, backend.dtype)
        self._start(backend.asarray(own, dtype=backend.float), unflatten(layers))
        self.out_shape = built.out_shape
        self.in_shape = shape  # last, as it marks the network as built, and Ctrl-C may come between any two lines

    def check_buildable(self, in_shape: Shape) -> None:
        """Raise what :meth:`build` would raise for inputs of this shape, without changing anything."""
        built = self.model.build(as_shape(in_shape))
        if not built.params:
            raise ConfigurationError("the network has no parameters to train; add a layer such as Dense")
        self.loss.check(built.out_shape)
        for metric in self.metrics:
            metric.check(self.loss, built.out_shape)
        for name in sorted({name for name, _ in flatten(built.params)} & {name for name, _ in flatten(built.state)}):
            raise ConfigurationError(
                f"a layer has both a parameter and a running statistic of the name {name!r}; weights go by names, so "
                "give one of them another"
            )

    def out_shape_for(self, in_shape: Shape) -> Shape:
        """Return the shape of one output for inputs of this shape, whether the network is built or not."""
        return self.out_shape if self.built else self.model.build(as_shape(in_shape)).out_shape

    # Training

    @explains_arguments
    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool | Callable[[int, int], Any] = True,
        validation_split: float = 0.0,
        validation_data: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        callbacks: Sequence[Callback | str] = (),
        verbose: int | str = "auto",
        checkpoint: StrPath | None = None,
        resume: bool = False,
        every: str = fitting.DEFAULT_EVERY,
        keep: int = fitting.DEFAULT_KEEP,
        on_nonfinite: str | None = None,
    ) -> History:
        """Train for a number of epochs; a second call goes on where the first one ended.

        Parameters
        ----------
        x : array (N, *inputs), or iterable of batches
            Examples: a list, NumPy, pandas, any library's array, a memory-mapped array (read batch by batch), or
            any iterable of batches (x, y) or (x, y, weights), gone through once an epoch, or a function that
            returns one.
        y : array (N,) or (N, ...)
            Targets; left out for an iterable.
        epochs : int
            Passes over the data.
        batch_size : int or None
            Examples in a step, the last one smaller where they do not divide; None takes all.
        shuffle : bool or callable
            Whether batches are drawn in a new order every epoch; ``shuffle(epoch, rows)`` returns an order of your
            own, each row's number once.
        validation_split : float
            Share of the examples, drawn by the seed, that is held out and measured after every epoch; of each class in
            proportion, where y names one for each example.
        validation_data : (x, y), (x, y, weights), or iterable of batches
            Held-out examples of your own; a tuple is always arrays, a list of tuples, or of lists of arrays, batches.
        sample_weight : array (N,)
            Weight of each example in the loss and its gradient, where 2 counts as the example twice and 0 leaves it
            out. ``BatchNorm`` counts all rows alike, and a step whose weights are all 0 is one to decay and momentum.
        class_weight : mapping, sequence or "balanced"
            Weight of each class; "balanced" makes every class that is trained on count alike, by their numbers of
            examples there. Held-out examples are weighed in the same way, so that what callbacks watch is what
            training lowers; only weights that are given with ``validation_data=(x, y, sample_weight)`` count alone.
            All weights weigh metrics as they weigh the loss.
        callbacks : sequence of Callback or str
            See :mod:`xpnet.callbacks`.
        verbose : int or str
            0 silent, 1 a line an epoch, 2 a live bar (rich), "auto" the bar on a terminal that has rich.
        checkpoint : str or Path, optional
            Folder for checkpoints of this run, made if it is missing. Each is the whole network, for :func:`xpnet.load`
            too, and where the run stood.
        resume : bool
            Whether to go on with the run in the folder, if there is one: the network's weights give way to the run's,
            and ``epochs`` counts from the run's start.
        every : str
            How often to save: ``"500 steps"``, ``"1 epoch"``, ``"10 minutes"``; the end of training is always saved.
        keep : int
            Newest checkpoints that are kept.
        on_nonfinite : str, optional
            Where a loss, a gradient or a weight becomes NaN or infinite: ``"raise"``; ``"skip"``, which leaves such a
            step out and halves the learning rate, and looks at every step for that; ``"ignore"``. Default: raise, but
            ignore with ``check_finite=False`` or :class:`TerminateOnNaN`.

        Returns
        -------
        History
            The epochs of this call, or of the run that it goes on with; ``net.history`` has all.

        Raises
        ------
        ShapeError, DataError, DtypeError, ConfigurationError
            The data or an argument is unusable; the network is as it was. Of an iterable, a bad batch is refused when
            it comes: the batches before it have been trained on, and the epoch does not count.
        NonFiniteError
            A step made something NaN or infinite. The error names the step, the layer and the likely cause; the
            network is as it was before that step.
        CheckpointError
            The run's folder cannot be used, another process trains in it, or it holds no file that can be read.

        Warns
        -----
        UserWarning
            A feature of x, or y, comes in another type, and float32 keeps less than three digits of its spread.

        Notes
        -----
        x, y and weights must not be written into before ``fit`` returns, as they are not always copied.

        After Ctrl-C, or an exception in a callback, the network can be used, saved and trained on. Steps that were
        finished count, as far as they have reached it; the one that was interrupted may be half done.
        """
        with fitting.exclusive(self), fitting.open_run(checkpoint, resume, every, keep) as run:
            return fitting.fit(
                self,
                x,
                y,
                epochs=epochs,
                batch_size=batch_size,
                shuffle=shuffle,
                validation_split=validation_split,
                validation_data=validation_data,
                sample_weight=sample_weight,
                class_weight=class_weight,
                callbacks=callbacks,
                verbose=verbose,
                run=run,
                on_nonfinite=on_nonfinite,
            )

    def train_step(self, x: Any, y: Any, sample_weight: Any = None) -> Array:
        """Train on one batch and return its loss as a 0-d array on the device (``float()`` of it waits).

        For loops of your own. Shapes and labels are checked, finiteness is not.

        Raises
        ------
        ShapeError, DataError, DtypeError, ConfigurationError
            The batch is unusable, or :meth:`fit` trains the network in another thread; the network is as it was.
        """
        fitting.require_own_thread(self)
        batch = fitting.prepare_batch(self, x, y, sample_weight)
        try:
            state, loss = self.compiled.function("step_loss")(self.state, batch)
            self.take_state(state, 1)
        except BaseException:
            self.recount()
            raise
        return loss

    @explains_arguments
    def gradients(self, x: Any, y: Any, sample_weight: Any = None) -> dict[str, Host]:
        """Return the loss's gradient with respect to every parameter, by name, for one batch.

        They are in the order of :meth:`get_weights`. Dropout is active, with the masks of the step to come; the
        network is not changed. Raises what :meth:`train_step` raises.
        """
        return self._trace(x, y, sample_weight)[1]

    @explains_arguments
    def trace(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, Host]:
        """Return every activation and gradient of one training pass by name, without changing the network.

        Without y, of rows that have no targets, activations alone.

        ``"0.output"`` is what layer 0 gives, ``"0.output.gradient"`` the loss's gradient there,
        ``"0.weight.gradient"`` a parameter's, ``"input.gradient"`` the input's; ``"losses"`` (N,) and ``"loss"``.
        Outputs come in the order of the layers, their gradients in that of the way back, the parameters' last, in
        that of :meth:`get_weights`.
        Raises what :meth:`train_step` raises.
        """
        if y is None:
            if sample_weight is not None:
                raise ConfigurationError("sample_weight weighs losses, which need targets: give y, or leave it out")
            rows = fitting.prepare_rows(self, x)
            outputs = self.compiled.activations(self.state, rows)
            return {name: outputs[name] for name in step_order(outputs)}
        found, gradients = self._trace(x, y, sample_weight)
        ordered = {name: found[name] for name in step_order(found)}
        return ordered | {f"{name}.gradient": value for name, value in gradients.items()}

    # Using

    def forward(self, x: Any, *, batch_size: int = EVALUATION_ROWS) -> Array:
        """Return the raw scores (logits), (N, *outputs), on the backend's device; raises what :meth:`predict` does."""
        return self._compute("forward", "scores", x, batch_size)

    def predict(self, x: Any, *, batch_size: int = EVALUATION_ROWS) -> Array:
        """Return predictions, (N, *outputs), on the backend's device: probabilities for classes, else values.

        Parameters
        ----------
        x : array (N, *inputs)
            A list, NumPy, pandas, any library's array, or a memory-mapped array.
        batch_size : int
            Examples computed at a time; the result does not depend on it but for rounding.

        Raises
        ------
        NotBuiltError
            The network has not seen data and was not given ``inputs``.
        ShapeError, DataError, DtypeError
            x is unusable.
        ConfigurationError
            ``batch_size`` is not a positive integer.
        """
        return self._compute("predict", "predictions", x, batch_size)

    def classify(self, x: Any, *, batch_size: int = EVALUATION_ROWS) -> Array:
        """Return predicted class indices, (N,): the highest score's, or for one output 1 for a score above 0, else 0.

        Several yes-or-no questions at once (binary cross-entropy) have an answer each, (N, K). Raises what
        :meth:`predict` raises, and ConfigurationError where the loss is not one for classes.
        """
        if not hasattr(self.loss, "classify"):
            raise ConfigurationError(f"classify() needs a loss for classes; got {self.loss}. Use predict()")
        return self._compute("classify", "classes", x, batch_size)

    @explains_arguments
    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int = EVALUATION_ROWS
    ) -> dict[str, float]:
        """Return the loss and the metrics over data, such as ``{"loss": 0.1, "accuracy": 0.97}``.

        Takes what :meth:`fit` takes for x, y and sample_weight, and raises what it raises.
        """
        self._require_built("evaluate")
        batch_size = check_integer("batch_size", batch_size)
        return evaluate(self, DataAdapter(self).open(x, y, sample_weight), batch_size)

    # Weights and learning rate

    @explains_arguments
    def get_weights(self) -> dict[str, Host]:
        """Return copies of all parameters and running statistics by name: ``{"0.weight": ..., "0.bias": ...}``.

        Raises NotBuiltError where there are none yet.
        """
        self._require_built("get_weights")
        return read_weights(self)

    @explains_arguments
    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Put values in place by the names of :meth:`get_weights`; names left out keep theirs.

        Before the first step the optimizer starts anew from these weights, as an average of weights does. Later its
        state stays as it is.

        Raises
        ------
        NotBuiltError
            There are none yet.
        ConfigurationError
            A name is unknown.
        ShapeError, DataError, DtypeError
            A value has another shape, is not finite, or is no real number.
        """
        self._require_built("set_weights")
        write_weights(self, checked_weights(self, weights))
        if not self.steps:
            started = self.compiled.function("initial_state")(self.state.params, self.state.layers, self.state.words)
            self.state = self.state._replace(optimizer=started.optimizer)

    @property
    def learning_rate(self) -> float:
        """The rate of the next step: that of the schedule times :attr:`scale`. Can be set."""
        return self.rate_of(self.steps)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        rate = check_real("learning_rate", rate, least=0)
        self._require_built("learning_rate")
        scheduled = self.scheduled_rate(self.steps)
        if rate and not scheduled:
            raise ConfigurationError(
                f"learning_rate={rate!r} cannot be reached: the schedule {self.optimizer.learning_rate} gives 0 at "
                f"step {self.steps}, and a rate that is set multiplies it from there on: take net.with_optimizer(...)"
            )
        self.scale = rate / scheduled if scheduled else self.scale

    @property
    def scale(self) -> float:
        """What callbacks have multiplied the scheduled learning rate by. Can be set."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._require_built("scale")
        scale = check_real("scale", scale, least=0)
        if scale > float(np.finfo(self.backend.dtype).max):
            raise ConfigurationError(
                f"the scale of the learning rate, {scale:g}, is beyond {self.backend.dtype}: the schedule has all but "
                "vanished; take net.with_optimizer(...) with another"
            )
        self._scale = scale
        self.state = self.state._replace(scale=self.from_host(np.asarray(scale)))

    @property
    def last_learning_rate(self) -> float:
        """The rate of the last step."""
        return self.rate_of(max(self.steps - 1, 0))

    # Copies

    @explains_arguments
    def to(
        self, backend: str | Backend, *, device: object = None, dtype: object = None, precision: object = None
    ) -> Network:
        """Return a copy on another backend, device, dtype or precision, with its training state; this one stays.

        As of :meth:`copy` and :meth:`with_optimizer`, it is of the network's own class, without a call of its
        ``__init__``, with deep copies of attributes of your own. Files do not hold these.

        Raises
        ------
        BackendError, ConfigurationError
            The backend cannot be had, or what is given does not go together; see :func:`xpnet.open_backend`.
        DataError
            A weight, or what the optimizer keeps, is finite in float64 and beyond float32.
        """
        from xpnet.assembly import copy_attributes, put_together, take_apart

        own = self.backend
        if not isinstance(backend, Backend):
            dtype = own.dtype if dtype is None else dtype_name(dtype)
            precision = own.precision if precision is None and dtype == own.dtype else precision
        opened = open_backend(backend, device=device, dtype=dtype, precision=precision)
        twin = put_together(*take_apart(self), opened, kind=type(self))
        twin._device = self._device if backend is own else device
        copy_attributes(self, twin)
        return twin

    @explains_arguments
    def copy(self) -> Network:
        """Return an independent copy on the same backend."""
        return self.to(self.backend)

    @explains_arguments
    def with_optimizer(self, optimizer: Optimizer | str) -> Network:
        """Return a copy that goes on with another optimizer, which begins anew, its schedule at step 0.

        Weights, running statistics, history and the count of epochs are this network's; ``steps``, and the dropout
        masks that hang on it, begin anew. To change the learning rate alone, set ``net.learning_rate``.

        Raises
        ------
        ConfigurationError
            It is no optimizer.
        NotBuiltError
            There is nothing to go on with: give the optimizer to ``Network(..., optimizer=...)``.

        Examples
        --------
        >>> from xpnet import SGD, Dense, Network, clouds
        >>> x, y = clouds(50, seed=0)
        >>> net = Network([Dense(8), "relu", Dense(3)], seed=0)
        >>> history = net.fit(x, y, epochs=5, verbose=0)
        >>> tuned = net.with_optimizer(SGD(1e-3, momentum=0.9))
        >>> history = tuned.fit(x, y, epochs=5, verbose=0)
        >>> tuned.epochs, net.epochs
        (10, 5)
        """
        from xpnet.assembly import with_optimizer

        self._require_built("with_optimizer")
        return with_optimizer(self, optimizer)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and deep-copy through the host, as files do; pickles are for one's own processes only."""
        from xpnet.assembly import own_attributes, take_apart, unpickle

        arguments = *take_apart(self), self.backend.name, self._device, type(self)
        return unpickle, arguments, own_attributes(self) or None

    @explains_arguments
    def averaged(self, x: Any = None) -> Network:
        """Return a copy whose weights are the moving average that ``ExponentialMovingAverage`` keeps.

        Running statistics of ``BatchNorm`` belong to the weights that they were measured with, so they are measured
        anew: as the mean over batches of x, each gone through as in training.

        Parameters
        ----------
        x : array (N, *inputs), optional
            What the network was trained on, or a sample of it; needed by ``BatchNorm`` alone.

        Raises
        ------
        NotBuiltError, ConfigurationError
            The network is not built, or keeps no average.
        ShapeError, DataError, DtypeError
            x is unusable, or has one row, which ``BatchNorm`` has no variance of.

        Warns
        -----
        UserWarning
            A ``BatchNorm`` keeps its running statistics, as x is not given.

        Notes
        -----
        Layers of your own, and what stands in containers of your own, keep what they have; those that are derived from
        ``BatchNorm``, ``Sequential`` or ``Residual`` count as these.

        Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization", section 3.2.
        """
        from xpnet.averaging import renew_statistics

        self._require_built("averaged")
        found = [*averages(self.optimizer, self.state.optimizer)]
        if not found:
            raise ConfigurationError(
                "no average is kept; train with optimizer=chain(Adam(), ExponentialMovingAverage())"
            )
        twin = self.copy()
        flat = twin.from_host(np.array(self.backend.to_numpy(found[0])))
        twin.state = twin.state._replace(params=flat)
        renew_statistics(twin, x)
        return twin

    @explains_arguments
    def save(self, path: StrPath) -> None:
        """Write the network with all its training state to one safetensors file; see :func:`xpnet.load`.

        Raises
        ------
        CheckpointError
            The file cannot be written, or the network has something that no file holds; what was there stays.
        ConfigurationError
            ``path`` is no path.
        """
        from xpnet.checkpoint import save

        save(self, path)

    @explains_arguments
    def to_onnx(
        self,
        path: StrPath,
        *,
        link: bool = False,
        scaler: xpnet.StandardScaler | xpnet.MinMaxScaler | None = None,
        classes: Iterable[object] | None = None,
    ) -> None:
        """Write the forward pass, as outside training, to one ONNX file, for runtimes that know nothing of xpnet.

        The graph takes ``input`` (N, *inputs) in the network's dtype, with any number of rows N, and gives
        ``scores``, the raw scores, or ``predictions``. Weights and layers' outputs go by the names of
        :meth:`get_weights` and :meth:`trace`. The file is replaced in one move. Needs the extra ``onnx``.

        Parameters
        ----------
        path : str or Path
            The file, ``model.onnx`` say.
        link : bool
            Whether the loss's link (softmax, sigmoid) is part of the graph: it then gives what :meth:`predict` gives.
        scaler : StandardScaler or MinMaxScaler, optional
            Fitted; becomes the first part of the graph, so that it takes features in their own units.
        classes : iterable of str, int or float, optional
            What the classes are called: goes into the file's metadata as JSON, under ``classes``. Where there is one
            output, the second of two is that of a prediction above one half, or a score above 0.

        Raises
        ------
        ExportError
            A layer, the link or the scaler cannot be exported; the message says which. Or the file cannot be written.
            What was there stays.
        ConfigurationError, NotBuiltError
            An argument does not fit the network, or it is not built.
        MissingExtraError
            The extra ``onnx`` is not installed.
        """
        from xpnet.onnx import to_onnx

        self._require_built("to_onnx")
        to_onnx(self, path, link=link, scaler=scaler, classes=classes)

    def summary(self) -> str:
        """Return a table of layers, output shapes and numbers of parameters, to print or for a notebook to show."""
        from xpnet.summary import summarize

        return summarize(self)

    if not TYPE_CHECKING:  # type checkers must see only attributes that exist

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown_attribute("Network", name, self)

        def __setattr__(self, name: str, value: object) -> None:
            new = name not in self.__dict__ and not name.startswith("_")
            if new and type(self) is Network and name not in Network.__annotations__ and not hasattr(Network, name):
                check_attribute_name(self, name, value, ("learning_rate", "check_finite", "stop_training"))
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        from xpnet.summary import short

        parts = f"loss={short(self.loss)}, optimizer={short(self.optimizer)}, backend={self.backend.name!r}"
        parts += f", dtype={self.backend.dtype!r}" if self.backend.dtype != "float32" else ""
        parts += f", precision={self.backend.precision!r}" if self.backend.precision != self.backend.dtype else ""
        return f"Network({short(self.model.layers)}, {parts})"

    def _repr_html_(self) -> str:
        from xpnet.summary import network_html

        return network_html(self)

    # What the training loop uses

    def scheduled_rate(self, step: int) -> float:
        """Return the optimizer's learning rate of the step that follows so many steps, before callbacks change it."""
        with np.errstate(all="ignore"):  # whoever cannot use what is not finite says so
            return float(rate_at(self.optimizer.learning_rate, np.asarray(float(step)), np))

    def rate_of(self, step: int) -> float:
        """Return the learning rate of the step that follows so many steps."""
        return self.scheduled_rate(step) * self.scale

    def take_state(self, state: State, steps: int) -> None:
        """Set the state after so many more steps."""
        self.state = state
        self.steps += steps

    def recount(self) -> None:
        """Read the count of steps from the device, as an interrupted call may have done some that were not counted."""
        with suppress(BackendError):  # the device may have failed
            self.steps = int(self.backend.to_numpy(self.state.step))

    # What files and copies use

    def from_host(self, values: Host) -> Array:
        """Return a copy of host values on the device."""
        return self.backend.asarray(aligned_copy(values, self.backend.dtype), dtype=self.backend.float)

    # Private

    def _save_problem(self) -> str:
        """Say why the network cannot be saved, or nothing; the check needs an import only for users' own classes."""
        if is_plain((self.model, self.loss, self.optimizer, self.metrics)):
            return ""
        from xpnet.checkpoint import configs

        try:
            configs(self)
        except CheckpointError as error:
            return str(error)
        return ""

    def _start(self, params: Array, layers: Any) -> None:
        drawn = key_words(self.seed) if self.model.random else [0, 0, 0, 0]  # NumPy's generators take 5 ms to import
        words = self.backend.xp.nn.words(drawn)
        self.state = self.compiled.function("initial_state")(params, layers, words)
        self._scale = 1.0  # as in the state

    def _compute(self, method: str, function: str, x: Any, batch_size: int) -> Array:
        self._require_built(method)
        backend, compiled, model = self.backend, self.compiled, (self.state.params, self.state.layers)
        if batch_size is not EVALUATION_ROWS:  # by identity, as an equal number may be 4096.0, which is refused
            batch_size = check_integer("batch_size", batch_size)
        elif call := compiled.checked(function):
            found = call(model, x)
            if found is not None and found.shape[0] <= batch_size:  # more only after a call with a larger batch_size
                return found
        compute = compiled.function(function)
        if needs_no_checks(x, backend, self.in_shape) and x.shape[0] <= batch_size:
            return compute(model, backend.asarray(x, dtype=backend.float))
        given, x = x, as_real_array(x, backend, "x")
        check_features(x, self.in_shape or ())
        if self.check_finite:
            check_finite(x, backend, "x", given=given)
        parts = []
        for start in range(0, x.shape[0], batch_size):
            part = x[start : min(start + batch_size, x.shape[0]), ...] if x.shape[0] > batch_size else x
            parts.append(compute(model, backend.asarray(portable(part), dtype=backend.float)))
        return backend.compile(backend.xp.concat)(parts) if len(parts) > 1 else parts[0]

    def _trace(self, x: Any, y: Any, sample_weight: Any) -> tuple[dict[str, Host], dict[str, Host]]:
        batch = fitting.prepare_batch(self, x, y, sample_weight)
        return self.compiled.trace(self.state, batch)

    def _require_built(self, what: str) -> None:
        if not self.built:
            raise NotBuiltError(
                f"{what} needs a built network: call fit first, or give Network(..., inputs=number of features)"
            )

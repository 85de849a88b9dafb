"""Names that users know from Keras, PyTorch and scikit-learn, and what to write here instead; for error messages.

There are two kinds of table: ``OBJECT_NAMES``, ``ARGUMENTS`` and ``OPTIONS`` map a foreign name to ours; those called
``..._ADVICE`` map a name that has no counterpart to a sentence of advice.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ARGUMENTS",
    "ARGUMENT_ADVICE",
    "ATTRIBUTE_ADVICE",
    "BACKEND_ADVICE",
    "FIELD_ADVICE",
    "OBJECT_NAMES",
    "OPTIONS",
]

OBJECT_NAMES: Mapping[str, str] = {
    "bce": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "crossentropyloss": "cross_entropy",
    "linear": "dense",
    "log_loss": "cross_entropy",
    "nll": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "squared_error": "mse",
}
"""Names of losses and layers, in lower case, and ours."""

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "alpha": ("slope",),
    "ax": ("axes",),
    "axes": ("ax",),
    "batch": ("batch_size",),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "bs": ("batch_size",),
    "callback": ("callbacks",),
    "class_weights": ("class_weight",),
    "criterion": ("loss",),
    "decay_rate": ("factor", "decay"),
    "decay_steps": ("steps", "every"),
    "drop_prob": ("rate",),
    "eps": ("epsilon",),
    "epoch": ("epochs",),
    "eta": ("learning_rate",),
    "eta_min": ("final",),
    "eval_set": ("validation_data",),
    "file": ("path",),
    "filename": ("path",),
    "filepath": ("path",),
    "gamma": ("factor",),
    "initial_learning_rate": ("rate",),
    "input_dim": ("inputs",),
    "input_shape": ("inputs",),
    "in_features": ("inputs",),
    "kernel_initializer": ("weight_initializer",),
    "learning_rate": ("rate",),
    "learning_rate_init": ("learning_rate",),
    "loss_fn": ("loss",),
    "loss_function": ("loss",),
    "lr": ("learning_rate", "rate"),
    "max_epochs": ("epochs",),
    "max_iter": ("epochs",),
    "max_lr": ("rate",),
    "maxval": ("high",),
    "metric": ("metrics",),
    "milestones": ("boundaries",),
    "min_lr": ("min_learning_rate",),
    "minval": ("low",),
    "n_epochs": ("epochs",),
    "n_iter_no_change": ("patience",),
    "nb_epoch": ("epochs",),
    "negative_slope": ("slope",),
    "nesterovs_momentum": ("nesterov",),
    "neurons": ("units",),
    "num_epochs": ("epochs",),
    "optim": ("optimizer",),
    "optimiser": ("optimizer",),
    "out_features": ("units",),
    "output_dim": ("units",),
    "p": ("rate",),
    "random_state": ("seed",),
    "sample_weights": ("sample_weight",),
    "solver": ("optimizer",),
    "stddev": ("deviation",),
    "std": ("deviation",),
    "step_size": ("every",),
    "t_max": ("steps",),
    "target_shape": ("shape",),
    "test_size": ("test",),
    "tol": ("min_delta",),
    "use_bias": ("bias",),
    "val_data": ("validation_data",),
    "val_split": ("validation_split",),
    "validation_fraction": ("validation_split",),
    "weight_initialiser": ("weight_initializer",),
    "weights": ("sample_weight",),
    "x_train": ("x",),
    "y_train": ("y",),
}
"""Arguments, in lower case, and ours: the first one that the called function has is suggested."""

_INPUTS = "the number of inputs is taken from the data, or given once as Network(..., inputs=...)"
_COUNTED = "features are counted in the data; write {0}() or {0}(epsilon=...)"
_PENALTY = "penalties stand in the optimizer: Network(..., optimizer=chain(L2(1e-4), Adam()))"
_RATE = "the learning rate is the optimizer's: Network(..., optimizer=Adam(learning_rate=0.001))"

_SCALER_NOTE = (
    "xpnet.checkpoint.save(net, path, notes={'scaler': json.dumps(dataclasses.asdict(scaler))}) keeps a scaler in the "
    "network's file"
)

_SCALER = (
    "xpnet.{0} is a record, whose fit and transform take x alone, and no step of a scikit-learn pipeline; "
    "there take sklearn.preprocessing.{0}"
)

_OF_THE_ESTIMATOR = "it is a parameter of the estimator, not of fit"
_OWN_OPTIMIZER = "the learning rate is the optimizer's: optimizer=Adam(learning_rate=0.001)"
_SHARE = "a share is held out by validation_fraction=0.1; samples of your own go to fit(X, y, X_val=..., y_val=...)"

_XP_ADVICE = {
    "(activation)": "an activation is a layer of its own: layers=[Dense(32), 'relu', Dense(3)]",
    "(early_stopping)": "give callbacks=[EarlyStopping()], and validation_fraction=0.1 for the samples held out",
    "(hidden_layer_sizes)": "give the layers: layers=[Dense(32), 'relu', Dense(3)]",
    **dict.fromkeys(("(learning_rate)", "(learning_rate_init)", "(lr)"), _OWN_OPTIMIZER),
    "(seed)": "write random_state=0",
    "(validation_data)": "validation_fraction=0.1 holds out a share of the samples",
    "(validation_split)": "write validation_fraction=0.1",
    **dict.fromkeys(
        (".fit(X_val)", ".fit(y_val)", ".fit(sample_weight_val)", ".fit(validation_data)", ".fit(validation_split)"),
        "the estimator's validation_fraction=0.1 holds out a share; the MLP estimators take samples of your own",
    ),
    **dict.fromkeys((".fit(batch_size)", ".fit(callbacks)", ".fit(epochs)", ".fit(verbose)"), _OF_THE_ESTIMATOR),
}
_MLP_ADVICE = {
    "(epochs)": "write max_iter=200, with early_stopping or tol for an earlier end",
    "(metrics)": "the XP estimators take metrics",
    "(optimizer)": "solver is 'adam', 'sgd' or 'lbfgs'; the XP estimators take any optimizer",
    "(patience)": "write n_iter_no_change=10",
    "(seed)": "write random_state=0",
    "(validation_data)": _SHARE,
    "(validation_split)": _SHARE,
    ".fit(validation_data)": "write X_val=..., y_val=...",
    **dict.fromkeys((".fit(batch_size)", ".fit(callbacks)", ".fit(verbose)"), _OF_THE_ESTIMATOR),
    ".fit(epochs)": "max_iter, a parameter of the estimator, is their number at most",
}
"""What to write instead of an argument of the estimators, by what stands behind the class's name."""

ARGUMENT_ADVICE: Mapping[str, str] = {
    "activation": "an activation is a layer of its own: [Dense(8), 'relu', ...]",
    "affine": "scale and shift are always there",
    "activity_regularizer": _PENALTY,
    "alpha": _PENALTY,
    "amsgrad": "there is no such variant here",
    "betas": "there are two arguments for that, beta1 and beta2",
    "bias_regularizer": _PENALTY,
    "clipnorm": "clipping is a link before the optimizer: chain(ClipByNorm(1.0), Adam())",
    "clipvalue": "clipping is a link before the optimizer: chain(ClipByValue(1.0), Adam())",
    "early_stopping": "give fit(..., callbacks=[EarlyStopping()])",
    "from_logits": "losses take raw scores, as with from_logits=True; leave it out",
    "global_clipnorm": "clipping is a link before the optimizer: chain(ClipByNorm(1.0), Adam())",
    "hidden_layer_sizes": "give the layers: Network([Dense(32), 'relu', Dense(3)])",
    "in_features": _INPUTS,
    "initial_epoch": "a second call of fit goes on where the first one ended",
    "input_dim": _INPUTS,
    "input_shape": _INPUTS,
    "kernel_regularizer": _PENALTY,
    "learning_rate": _RATE,
    "learning_rate_init": _RATE,
    "lr": _RATE,
    "load(dtype)": "xpnet.load(path).to('numpy', dtype='float64') gives the network in another",
    "load(precision)": "xpnet.load(path).to('numpy', precision='bfloat16') gives the network in another",
    "name": "layers go by their place, such as '0.weight'",
    "normalized_shape": _INPUTS,
    "num_features": _INPUTS,
    "n_features": _INPUTS,
    "BatchNorm()": _COUNTED.format("BatchNorm"),
    "LayerNorm()": _COUNTED.format("LayerNorm"),
    "MinMaxScaler.fit()": _SCALER.format("MinMaxScaler"),
    "MinMaxScaler.fit_transform()": _SCALER.format("MinMaxScaler"),
    **dict.fromkeys(
        ("CrossEntropy(weight)", "CrossEntropy(class_weight)", "BinaryCrossEntropy(weight)", "pos_weight"),
        "classes are weighed in fit, net.fit(x, y, class_weight=[1.0, 2.0]), as examples are by sample_weight",
    ),
    "Network.evaluate(verbose)": "nothing is printed",
    "Network.save(notes)": "xpnet.checkpoint.save(net, path, notes=...) takes them",
    "Network.save(overwrite)": "what is there is replaced, as a whole or not at all",
    "Network.save(scaler)": _SCALER_NOTE,
    "params": "the network gives its parameters to the optimizer; leave them out",
    "seed": "there is one seed, the network's: Network(..., seed=0)",
    "StandardScaler.fit()": _SCALER.format("StandardScaler"),
    "StandardScaler.fit_transform()": _SCALER.format("StandardScaler"),
    "steps_per_epoch": "an epoch is one pass over the data, and over an iterable of batches",
    "trainable": "every layer is trained",
    "validation_steps": "validation_data is measured as a whole",
    "Adam(weight_decay)": "write AdamW(weight_decay=...), or chain(L2(...), Adam())",
    "SGD(weight_decay)": "write chain(L2(...), SGD())",
    "weight_decay": _PENALTY,
    **{f"XP{kind}{call}": advice for kind in ("Classifier", "Regressor") for call, advice in _XP_ADVICE.items()},
    **{f"MLP{kind}{call}": advice for kind in ("Classifier", "Regressor") for call, advice in _MLP_ADVICE.items()},
}
"""What to write instead of an argument that has no counterpart here. A key ``Class(argument)`` is for that class alone;
``function()``, without an argument, is for a call with too many positional arguments."""

_DENSE_ONLY = "there are dense networks only, no convolution, recurrence or attention"
_ESTIMATORS = "estimators for scikit-learn stand in xpnet.sklearn"
_FITS = "it is an argument of fit: net.fit(x, y, {}=...)"
_GIVEN_AT_ONCE = "give the layers as one list, Network([Dense(32), 'relu', Dense(3)])"
_IN_SHAPE = "net.in_shape is the shape of one input, which Network(..., inputs=...) or the first data decide"
_INTO_WEIGHTS = "net.set_weights(weights) takes what get_weights() gives, and xpnet.load(path) reads what save wrote"
_IS_LAYER = "Sequential is a layer; give its layers to xpnet.Network([...]), which is trained"
_MAPPING = "fit returns the mapping itself: history['loss']"
_NO_MODE = "there is no mode to set: fit and train_step train, all other methods do not"
_SEED = "the seed is the network's, Network(..., seed=0); nothing is drawn from a global one"
_WEIGHTS = "net.get_weights() gives them by name, and net.set_weights(...) takes them"

ATTRIBUTE_ADVICE: Mapping[str, str] = {
    "Callback.model": "the network in training is self.network",
    "History.epoch": "history.epochs is their number",
    "History.history": _MAPPING,
    "History.params": _MAPPING,
    "History.plot": "xpnet.plotting.plot_history(history) draws it",
    "MinMaxScaler.save": _SCALER_NOTE,
    "Network.add": _GIVEN_AT_ONCE,
    "Network.append": _GIVEN_AT_ONCE,
    "Network.backward": "net.gradients(x, y) gives every parameter's gradient by name",
    "Network.batch_size": _FITS.format("batch_size"),
    "Network.callbacks": _FITS.format("callbacks"),
    "Network.class_weight": _FITS.format("class_weight"),
    "Network.coefs_": _WEIGHTS,
    "Network.compile": "they are given at once, Network(layers, loss=..., optimizer=..., metrics=[...]); "
    "net.with_optimizer(...) goes on with another optimizer",
    "Network.cpu": "net.to('numpy') gives the network on the CPU",
    "Network.cuda": "net.to('cupy') gives the network on a GPU, or net.to('torch', device='cuda')",
    "Network.device": "net.backend.device says where it is; net.to('torch', device='cuda') gives it elsewhere",
    "Network.dtype": "net.backend.dtype says it; net.to('numpy', dtype='float64') gives it in another",
    "Network.eval": _NO_MODE,
    "Network.input_shape": _IN_SHAPE,
    "Network.inputs": _IN_SHAPE,
    "Network.layers": "the layers are net.model.layers",
    "Network.load": "xpnet.load(path) reads a network, layers and all",
    "Network.load_state_dict": _INTO_WEIGHTS,
    "Network.load_weights": _INTO_WEIGHTS,
    "Network.momentum": "it is the optimizer's: net.with_optimizer(SGD(0.1, momentum=0.9)) goes on with it",
    "Network.parameters": _WEIGHTS,
    "Network.partial_fit": "net.train_step(x, y) trains on one batch, and a second fit goes on",
    "Network.precision": "net.backend.precision says it; net.to('numpy', precision='bfloat16') gives it in another",
    "Network.predict_classes": "net.classify(x) gives them",
    "Network.predict_proba": "net.predict(x) gives probabilities",
    "Network.save_weights": "net.save(path) writes weights, layers, optimizer and history",
    "Network.score": "net.evaluate(x, y) gives the loss and the metrics by name",
    "Network.state_dict": _WEIGHTS,
    "Network.test_on_batch": "net.evaluate(x, y) is meant",
    "Network.train": _NO_MODE,
    "Network.train_on_batch": "net.train_step(x, y) is meant",
    "Network.trainable": "every layer is trained",
    "Network.trainable_variables": _WEIGHTS,
    "Network.trainable_weights": _WEIGHTS,
    "Network.verbose": _FITS.format("verbose"),
    "Network.weights": _WEIGHTS,
    "Network.zero_grad": "gradients are results, and do not add up",
    "Sequential.add": _IS_LAYER,
    "Sequential.compile": _IS_LAYER,
    "Sequential.evaluate": _IS_LAYER,
    "Sequential.fit": _IS_LAYER,
    "Sequential.parameters": _IS_LAYER,
    "Sequential.predict": _IS_LAYER,
    "Sequential.save": _IS_LAYER,
    "Sequential.summary": _IS_LAYER,
    "StandardScaler.save": _SCALER_NOTE,
    "xpnet.Activation": "write the activation's name, 'relu', or ReLU()",
    "xpnet.BCELoss": "write BinaryCrossEntropy(), which takes raw scores",
    "xpnet.BCEWithLogitsLoss": "write BinaryCrossEntropy()",
    "xpnet.BatchNormalization": "write BatchNorm()",
    "xpnet.Conv1D": _DENSE_ONLY,
    "xpnet.Conv2D": _DENSE_ONLY,
    "xpnet.Conv2d": _DENSE_ONLY,
    "xpnet.Chain": "write chain(...)",
    "xpnet.CrossEntropyLoss": "write CrossEntropy()",
    "xpnet.Embedding": _DENSE_ONLY,
    "xpnet.GRU": _DENSE_ONLY,
    "xpnet.Input": "the number of inputs is taken from the data, or given as Network(..., inputs=...)",
    "xpnet.InputLayer": "the number of inputs is taken from the data, or given as Network(..., inputs=...)",
    "xpnet.LSTM": _DENSE_ONLY,
    "xpnet.Layer": "a layer of your own needs no base class; see xpnet.layers.Layer for what it must have",
    "xpnet.LayerNormalization": "write LayerNorm()",
    "xpnet.Linear": "write Dense(units); inputs are counted in the data",
    "xpnet.Loss": "a loss of your own needs no base class; see xpnet.losses.Loss for what it must have",
    "xpnet.MLPClassifier": _ESTIMATORS,
    "xpnet.MLPRegressor": _ESTIMATORS,
    "xpnet.MAE": "write MeanAbsoluteError()",
    "xpnet.MSE": "write MeanSquaredError()",
    "xpnet.MSELoss": "write MeanSquaredError()",
    "xpnet.Metric": "a metric of your own needs no base class; see xpnet.metrics.Metric for what it must have",
    "xpnet.Model": "write Network([...])",
    "xpnet.Module": "write Network([...]); a layer of your own needs no base class",
    "xpnet.Optimizer": "an optimizer of your own needs no base class; xpnet.optimizers.Optimizer says what it has",
    "xpnet.XPClassifier": _ESTIMATORS,
    "xpnet.XPRegressor": _ESTIMATORS,
    "xpnet.load_model": "write load(path)",
    "xpnet.make_moons": "scikit-learn has these; xpnet has clouds() and spiral()",
    "xpnet.manual_seed": _SEED,
    "xpnet.moons": "scikit-learn has make_moons(); xpnet has clouds() and spiral()",
    "xpnet.save": "net.save(path) writes a network",
    "xpnet.save_model": "net.save(path) writes a network",
    "xpnet.seed": _SEED,
    "xpnet.set_random_seed": _SEED,
    "xpnet.set_seed": _SEED,
    "xpnet.train_test_split": "write split(x, y, test=0.2)",
}
"""What to do instead of reading or setting an attribute that the class, or the package, does not have."""

_GPU = "that is a device: give 'cupy', or 'torch' with device='cuda', or 'jax' with device='gpu'"

BACKEND_ADVICE: Mapping[str, str] = {
    "cpu": "that is a device: give 'numpy', or 'torch' or 'jax' with device='cpu'",
    "cuda": _GPU,
    "gpu": _GPU,
    "mps": "that is a device: give 'torch' with device='mps'",
    "tpu": "that is a device: give 'jax' with device='tpu'",
}
"""What to write instead of a device that is given as a backend, by its name without its number."""

_SET_RATE = ": a network's rate is set by net.learning_rate = ..., and net.with_optimizer(...) takes another optimizer"

FIELD_ADVICE: Mapping[str, str] = {
    "learning_rate": _SET_RATE,
    "lr": _SET_RATE,
    "MinMaxScaler": f": {_SCALER.format('MinMaxScaler')}",
    "StandardScaler": f": {_SCALER.format('StandardScaler')}",
}
"""What to do instead of assigning to a field of a record, by the name of the field or of the record's class."""

OPTIONS: Mapping[str, str] = {
    "b": "batch-size",
    "bs": "batch-size",
    "cpu": "device",
    "cuda": "device",
    "e": "epochs",
    "gpu": "device",
    "label": "target",
    "layers": "hidden",
    "lr": "learning-rate",
    "o": "out",
    "output": "out",
    "p": "probabilities",
    "random-state": "seed",
    "sep": "delimiter",
    "t": "target",
    "y": "target",
}
"""Command-line options of other programs, in lower case and without their hyphens, and ours."""

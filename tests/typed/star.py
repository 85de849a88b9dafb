"""A star import: every public name is there."""
# ruff: noqa: F403, F405

from xpnet import *

net: Network = Network([Dense(3), ReLU()], optimizer=Adam(CosineDecay(0.1, 100)), loss=CrossEntropy())
error: type[Exception] = ConfigurationError
chain(L2(), SGD())

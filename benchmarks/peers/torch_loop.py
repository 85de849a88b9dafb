"""PyTorch's usual training loop: eager, with a fused optimizer, or compiled as well."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch

from benchmarks.work import BATCH_NORM_EPSILON, BATCH_NORM_KEEP, Pool, Weights, Work


class Trainer:
    def __init__(self, work: Work, weights: Weights, pool: Pool, fused: bool = False, compiled: bool = False) -> None:
        self.model = model_of(work, weights)
        self.batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in pool.batches()]
        kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        # None is the default choice, which is not to fuse.
        self.optimizer = kinds[work.optimizer](self.model.parameters(), lr=work.rate, fused=fused or None)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.model(x), y)

    def train(self, passes: int, shuffle: bool) -> float:
        optimizer, loss_of = self.optimizer, self.loss
        self.model.train()
        start = perf_counter()
        for _ in range(passes):
            for x, y in self.batches:
                optimizer.zero_grad()
                loss = loss_of(x, y)
                loss.backward()
                optimizer.step()
        loss.item()
        return perf_counter() - start

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.model.eval()
        with torch.no_grad():
            return torch.softmax(self.model(torch.from_numpy(x)), dim=1).numpy()

    def weights(self) -> Weights:
        return weights_of(self.model)


def weights_of(model: torch.nn.Sequential) -> Weights:
    found: Weights = []
    for module in model:
        if isinstance(module, torch.nn.Linear):
            found.append({"weight": host(module.weight).T, "bias": host(module.bias)})
        elif isinstance(module, torch.nn.BatchNorm1d):
            found[-1] |= {"gamma": host(module.weight), "beta": host(module.bias)}
    return found


def host(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def model_of(work: Work, weights: Weights) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for layer in weights:
        linear = torch.nn.Linear(*layer["weight"].shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(layer["weight"].T.copy()))
            linear.bias.copy_(torch.from_numpy(layer["bias"]))
        modules.append(linear)
        if "gamma" in layer:
            modules.append(
                torch.nn.BatchNorm1d(layer["gamma"].size, eps=BATCH_NORM_EPSILON, momentum=1 - BATCH_NORM_KEEP)
            )
        if layer is not weights[-1]:
            modules.append(torch.nn.ReLU() if work.activation == "relu" else torch.nn.Sigmoid())
            if work.dropout:
                modules.append(torch.nn.Dropout(work.dropout))
    return torch.nn.Sequential(*modules)

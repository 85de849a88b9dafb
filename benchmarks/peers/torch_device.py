"""PyTorch on a device that holds the data: eager, compiled, or with a step captured by hand as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.peers.torch_loop import model_of, weights_of
from benchmarks.work import Pool, Weights, Work

WARM_UP = 3
"""Steps before a capture, in which libraries choose and allocate."""


class Trainer:
    def __init__(
        self,
        work: Work,
        weights: Weights,
        pool: Pool,
        device: str,
        precision: str,
        mode: str = "eager",
        fused: bool = False,
        shuffled: bool = False,
    ) -> None:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        self.device, self.batch, self.shuffled = device, pool.batch, shuffled
        # Weights, moments and updates stay in float32; autocast multiplies in bfloat16.
        self.autocast = lambda: torch.autocast(
            device, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
        )
        self.x, self.y = torch.from_numpy(pool.x).to(device), torch.from_numpy(pool.y).to(device)
        self.model = model_of(work, weights).to(device)
        options: dict[str, Any] = {"lr": work.rate, "fused": fused or None}
        if work.optimizer == "adam":
            options["capturable"] = mode == "graph" and device == "cuda"
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[work.optimizer]
        self.optimizer = kind(self.model.parameters(), **options)
        compiling = mode not in ("eager", "graph")
        self.loss = torch.compile(self._loss, mode=mode) if compiling else self._loss
        self.scores = torch.compile(self._scores, mode=mode) if compiling else self._scores
        self.step = self._captured() if mode == "graph" else self._step

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with self.autocast():
            return torch.nn.functional.cross_entropy(self.model(x), y)

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        with self.autocast():
            return torch.softmax(self.model(x).float(), dim=1)

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        return loss

    def _captured(self) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Record a step over buffers of its own; what it is given is copied into them, and it is replayed."""
        x, y = self.x[: self.batch].clone(), self.y[: self.batch].clone()
        first = [parameter.detach().clone() for parameter in self.model.parameters()]
        side = Stream(self.device)
        with side:
            for _ in range(WARM_UP):
                self._step(x, y)
        self.optimizer.zero_grad()  # to None: the backward pass in the graph then writes gradients, and adds to none
        graph = Graph(self.device, lambda: self._step(x, y))
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), first, strict=True):
                parameter.copy_(value)
            for kept in self.optimizer.state.values():
                for tensor in kept.values():
                    if tensor is not None:
                        tensor.zero_()

        def step(new_x: torch.Tensor, new_y: torch.Tensor) -> torch.Tensor:
            x.copy_(new_x)
            y.copy_(new_y)
            return graph.replay()

        return step

    def train(self, passes: int, shuffle: bool) -> float:
        self.model.train()
        step, rows = self.step, len(self.x)
        starts = range(0, rows, self.batch)
        self.wait()
        start = perf_counter()
        for _ in range(passes):
            if self.shuffled:
                order = torch.randperm(rows, device=self.device) if shuffle else torch.arange(rows, device=self.device)
                for first in starts:
                    chosen = order[first : first + self.batch]
                    loss = step(self.x[chosen], self.y[chosen])
            else:
                for first in starts:
                    loss = step(self.x[first : first + self.batch], self.y[first : first + self.batch])
        loss.item()
        self.wait()
        return perf_counter() - start

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def place(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(x).to(self.device)

    def predict(self, x: torch.Tensor) -> np.ndarray:
        self.model.eval()
        with torch.no_grad():
            return self.scores(x).cpu().numpy()

    def weights(self) -> Weights:
        return weights_of(self.model)


class Stream:
    """A stream of its own for the warm-up on a GPU; nothing elsewhere."""

    def __init__(self, device: str) -> None:
        self.stream = torch.cuda.Stream() if device == "cuda" else None
        self.context = torch.cuda.stream(self.stream)

    def __enter__(self) -> None:
        if self.stream is not None:
            self.stream.wait_stream(torch.cuda.current_stream())
        self.context.__enter__()

    def __exit__(self, *error: object) -> None:
        self.context.__exit__(*error)
        if self.stream is not None:
            torch.cuda.current_stream().wait_stream(self.stream)


class Graph:
    """A function without arguments, captured on a GPU and called elsewhere."""

    def __init__(self, device: str, function: Callable[[], torch.Tensor]) -> None:
        self.function, self.graph = function, None
        if device == "cuda":
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.result = function()

    def replay(self) -> torch.Tensor:
        if self.graph is None:
            return self.function()
        self.graph.replay()
        return self.result

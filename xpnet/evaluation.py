"""Loss and metrics over examples, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xpnet.batches import Source
    from xpnet.network import Network

__all__ = ["EVALUATION_ROWS", "evaluate"]

EVALUATION_ROWS = 4096
"""Default batch size of prediction and evaluation, large enough to be fast."""


def evaluate(network: Network, source: Source, batch_size: int) -> dict[str, float]:
    """Return loss and metrics over all examples of a source."""
    sums = network.compiled.zero_sums()
    for batch in source.batches(batch_size):
        sums = network.compiled.measure(sums, (network.state.params, network.state.layers), batch)
    (results,) = network.compiled.results(sums)
    return results

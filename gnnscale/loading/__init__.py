"""From labels and a sampled graph to batches."""

from gnnscale.loading.batches import BatchBuilder, PairBatch, RowFeatures, TargetBatch
from gnnscale.loading.examples import Examples, read_examples
from gnnscale.loading.order import NegativeSampler, epoch_batches, rank_slice

__all__ = [
    "BatchBuilder",
    "Examples",
    "NegativeSampler",
    "PairBatch",
    "RowFeatures",
    "TargetBatch",
    "epoch_batches",
    "rank_slice",
    "read_examples",
]

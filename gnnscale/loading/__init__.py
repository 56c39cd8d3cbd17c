"""From labels and a sampled graph to batches."""

from gnnscale.loading.batches import BatchBuilder, PairBatch, TargetBatch
from gnnscale.loading.entity_batches import EntityBatch, EntityBatchBuilder
from gnnscale.loading.entity_examples import AnswerShape, EntityExamples, read_answer_shape, read_entity_examples
from gnnscale.loading.examples import Examples, read_examples
from gnnscale.loading.hops import default_hops
from gnnscale.loading.order import epoch_batches, rank_slice, shuffled_batches
from gnnscale.loading.rows import CodeBags, RowFeatures
from gnnscale.sampling.negatives import NegativeSampler

__all__ = [
    "AnswerShape",
    "BatchBuilder",
    "CodeBags",
    "EntityBatch",
    "EntityBatchBuilder",
    "EntityExamples",
    "Examples",
    "NegativeSampler",
    "PairBatch",
    "RowFeatures",
    "TargetBatch",
    "default_hops",
    "epoch_batches",
    "rank_slice",
    "read_answer_shape",
    "read_entity_examples",
    "read_examples",
    "shuffled_batches",
]

"""Link prediction in the training loop: the two-branch network over targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import BatchBuilder, Examples, PairBatch, draw_positives, epoch_batches
from gnnscale.config import Settings
from gnnscale.nn import ProcessGroup, build_model, pair_loss
from gnnscale.query import PredictiveQuery
from gnnscale.sampling import NegativeSampler
from gnnscale.store import GraphStore
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.task import ModelSelection
from gnnscale.training.validation import validate


class LinkTask:
    """Rank the targets of a link task; see :class:`gnnscale.training.task.TrainingTask`.

    Args:
        settings: the configuration.
        store: the graph.
        query: bound query.
        training, validation: examples; validation examples share one anchor.
        place: of this process.
    """

    kept = ModelSelection("map@10")

    def __init__(
        self,
        settings: Settings,
        store: GraphStore,
        query: PredictiveQuery,
        training: Examples,
        validation: Examples,
        place: DistributedContext | None = None,
    ) -> None:
        self.settings = settings
        self.place = place or DistributedContext()
        self.training, self.validation = training, validation
        self._order: tuple[int, list[NDArray[np.int64]]] = (-1, [])
        self.builder = BatchBuilder(store, query, settings.sampling, settings.model.group_columns, settings.seed)
        torch.manual_seed(settings.seed)
        group = ProcessGroup(self.place.rank, self.place.workers, self.place.device)
        model = build_model(settings, query, store.manifest, self.builder.context_tables, group)
        targets = np.bincount(training.targets, minlength=store.node_count(query.target.name))
        model.described.learned.copy_(torch.from_numpy(targets > 0))
        self.model: nn.Module = model.to(self.place.device)
        self.in_batch = settings.training.negative_strategy == "in_batch"
        power = 1.0 if self.in_batch else settings.training.negative_power
        self.negatives = NegativeSampler(targets, power, settings.seed)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches that share an anchor."""
        if self._order[0] != epoch:
            size, seed = self.settings.training.batch_size, self.settings.seed
            self._order = (epoch, epoch_batches(self.training.anchors, size, seed, epoch))
        return self._order[1]

    def prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> tuple[PairBatch, Tensor]:
        """The batch, and log of the chance that each of its negatives is drawn."""
        if self.in_batch:
            everyone = self.batches(epoch)[step]
            named = everyone[self.training.indptr[everyone + 1] > self.training.indptr[everyone]]
            negatives = draw_positives(self.training, named, self.settings.seed, epoch)
        else:
            negatives = self.negatives.sample(self.settings.training.negatives, epoch, step)
        batch = self.builder.build(self.training.take(rows), epoch, negatives)
        return batch, torch.from_numpy(self.negatives.log_share[negatives])

    def edges(self, prepared: tuple[PairBatch, Tensor]) -> int:
        """Edges around entities and around targets."""
        return prepared[0].edges

    def loss(self, model: nn.Module, prepared: tuple[PairBatch, Tensor]) -> Tensor:
        """Sum over the rows of the ranking loss and of the softmax over sampled targets."""
        batch, log_share = prepared[0].to(self.place.device), prepared[1].to(self.place.device)
        return pair_loss(model(batch), batch, log_share, self.settings.training.rank_depth).total

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Full ranking of the validation examples."""
        return validate(model, self.builder, self.validation, self.place)  # type: ignore[arg-type]

    def description(self) -> dict[str, Any]:
        """Nothing: the configuration and the graph say it all."""
        return {}

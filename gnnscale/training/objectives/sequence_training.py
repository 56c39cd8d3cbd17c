"""Links by sequences: what an entity does later, asked at positions of what it did before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.batches import Asked, SequenceBatch, SequenceSource
from gnnscale.nn import LinkLoss, PositionVectors, RepeatedScores, ScoredLoss, SequenceOutputs, tower_scores
from gnnscale.sampling import KnownPositives, Negative, NegativeRequest, Negatives
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.objectives.objective import ModelSelection, TrainingBatch

Validation = Callable[[nn.Module, SequenceSource, DistributedContext], dict[str, float]]
"""Metrics of a network, the same on every process."""

EPOCH = 1 << 32
"""Steps that an epoch's numbers are apart."""


@dataclass(frozen=True)
class AskedBatch(TrainingBatch):
    """Sequences and their negatives.

    Args:
        sample: with the targets that are scored: the positives, ``[asked]``, and then the negatives; or all.
        example: row of ``present`` of each asked position, int64 ``[asked]``.
        present: which negatives are some of which sequence or position, bool ``[examples, negatives]``.
        log_share: log of the chance of each negative, float32, ``[negatives]`` or ``[asked, negatives]``.
        scale: sequences of the global batch over its asked positions, which all count the same.
    """

    sample: SequenceBatch
    example: Tensor
    present: Tensor
    log_share: Tensor
    scale: float


class SequenceTraining:
    """Predict later actions; see :class:`gnnscale.training.objectives.objective.Objective`.

    Rows are of training sequences, see :class:`gnnscale.batches.SequenceSource`. The loss is the mean over all asked
    positions of the global batch. No sampled negative is a positive of the same sequence in the batch; what an
    entity has had, where that has scores of its own, stands against every positive but itself.

    Args:
        negatives: that a positive is compared with.
        loss: that fits the network.
        frequency: as in :class:`gnnscale.config.SequenceSettings`.
        targets: rows of the targets' table.
        validation: metrics of a network.
        selection: which validation is the best.
    """

    def __init__(
        self,
        negatives: Negative,
        loss: LinkLoss,
        frequency: str,
        targets: int,
        validation: Validation,
        selection: ModelSelection,
    ) -> None:
        self.negatives, self.link_loss, self.frequency, self.targets = negatives, loss, frequency, targets
        self.validation, self.selection = validation, selection

    def prepare(
        self, source: SequenceSource, rows: NDArray[np.int64], epoch: int, step: int, everyone: NDArray[np.int64]
    ) -> AskedBatch:
        """The sequences with their positives and negatives."""
        whole = source.ask(everyone, epoch)
        asked = whole if len(rows) == len(everyone) else source.ask(rows, epoch)
        log, windows = source.known.log, source.windows.take(rows)
        positives, seen = log.targets_at(asked.positive), log.targets_at(whole.positive)
        everything = self.link_loss.all_targets
        found, example = self._negatives(source, rows, asked, positives, seen, epoch, step)
        sample = source.builder.build(
            windows.entities,
            windows.ends,
            (asked.window, asked.place),
            positives,
            np.concatenate([positives, np.maximum(found.nodes.reshape(-1), 0)]),
            everything,
            seen,
            epoch * EPOCH + step,
        )
        return AskedBatch(
            sample,
            torch.from_numpy(example),
            torch.from_numpy(found.present),
            torch.from_numpy(found.log_share),
            len(everyone) / max(1, len(whole.place)),
        )

    def loss(self, outputs: SequenceOutputs, batch: AskedBatch) -> Tensor:
        """Mean over the global batch's positions, times its sequences: this part's share of it."""
        log_share = self._log_share(outputs.share, batch)
        present = batch.present if log_share.ndim == 2 else batch.present.index_select(0, batch.example)
        if outputs.repeated is not None:
            return batch.scale * self._with_repeats(outputs.vectors, outputs.repeated, batch.sample, present, log_share)
        return batch.scale * self.link_loss.total(outputs.vectors, batch.sample, present, log_share)

    def _with_repeats(
        self,
        vectors: PositionVectors,
        repeated: RepeatedScores,
        sample: SequenceBatch,
        present: Tensor,
        log_share: Tensor,
    ) -> Tensor:
        """The loss among all that an entity has had, and the negatives of what it has not.

        The former all stand for themselves; of the latter a sample stands for all.
        """
        assert isinstance(self.link_loss, ScoredLoss)
        own, sampled = tower_scores(*vectors, present, log_share)
        right = repeated.had & (repeated.rows == sample.targets[: len(own)].unsqueeze(1))
        own = torch.where(right.any(1), (repeated.scores * right).sum(1), own)
        items, named = len(sample.items.nodes), sample.targets[len(own) :]
        had = torch.zeros(len(own), items + 1, dtype=torch.bool, device=own.device)
        had.scatter_(1, torch.where(repeated.had, repeated.rows, items), True)
        new = ~had.gather(1, named.view(present.shape) if log_share.ndim == 2 else named.expand(len(own), -1))
        share = torch.cat(
            [
                (log_share + math.log(max(1, present.shape[1]))).expand_as(present),
                torch.zeros_like(repeated.scores),
            ],
            dim=1,
        )
        return self.link_loss.of_scores(
            own,
            torch.cat([sampled, repeated.scores], dim=1),
            torch.cat([present & new, repeated.had & ~right], dim=1),
            share - math.log(share.shape[1]),
        )

    def validate(self, model: nn.Module, source: SequenceSource, context: DistributedContext) -> dict[str, float]:
        """Metrics of the validation examples."""
        return self.validation(model, source, context)

    def description(self) -> dict[str, Any]:
        """Nothing: the configuration and the graph say it all."""
        return {}

    def _log_share(self, share: Tensor, batch: AskedBatch) -> Tensor:
        if self.frequency == "none":
            return torch.full_like(batch.log_share, -math.log(max(1, batch.present.shape[1])))
        own = getattr(self.negatives, "in_batch", 0.0)
        if self.frequency == "streaming" and own > 0:
            mixture = own * share[len(batch.sample.asked) :] + (1 - own) / self.targets
            return mixture.log().view_as(batch.log_share)
        return batch.log_share

    def _negatives(
        self,
        source: SequenceSource,
        rows: NDArray[np.int64],
        asked: Asked,
        positives: NDArray[np.int64],
        seen: NDArray[np.int64],
        epoch: int,
        step: int,
    ) -> tuple[Negatives, NDArray[np.int64]]:
        """Negatives, and which of their examples each asked position is: its sequence, or itself."""
        if self.link_loss.all_targets:
            none = np.zeros(0, np.int64)
            return Negatives(none, np.zeros((len(rows), 0), bool), none.astype(np.float32)), asked.window
        known = KnownPositives.of_pairs(asked.window, positives, len(rows))
        log, ends = source.known.log, source.windows.ends[rows]
        times = np.zeros(len(rows), np.int32) if log.times is None else np.asarray(log.times[ends - 1])
        if self.negatives.per_batch:
            entities = np.arange(len(rows))
            request = NegativeRequest(entities, times, known, rows, None, epoch, step, seen)
            return self.negatives.sample(request), asked.window
        request = NegativeRequest(asked.window, times[asked.window], known, asked.place, positives, epoch, step)
        return self.negatives.sample(request), np.arange(len(positives))

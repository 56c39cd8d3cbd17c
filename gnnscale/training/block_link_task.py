"""Links in the training loop: entities by their blocks, targets by what they are known by, scored in two towers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.arrays import Ragged
from gnnscale.batches import BlockSource, Examples, FeatureBlock, draw_positives, gather_rows, rank_slice
from gnnscale.config import Settings
from gnnscale.metrics import evaluate_ranking
from gnnscale.nn import BlockTowers, TargetRows, sampled_softmax
from gnnscale.sampling import KnownPositives, Negative, NegativeRequest
from gnnscale.schema import DataError
from gnnscale.store import NodeFeatures
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.task import ModelSelection
from gnnscale.training.validation import DEPTH, METRICS

SCORED = 128
"""Validation examples that are ranked at once."""


@dataclass(frozen=True)
class BlockLinks:
    """What came true for a source's examples.

    Args:
        examples: by row number.
        validation: row numbers that are validated on, int64.
        features: of the targets.
    """

    examples: Examples
    validation: NDArray[np.int64]
    features: NodeFeatures


@dataclass(frozen=True)
class LinkBatch:
    """One process's part of a batch.

    Args:
        block: around its entities.
        targets: their positives, ``[batch]``, then the negatives.
        present: which negatives are some of which example, bool ``[batch, negatives]``.
        log_share: log of the chance of each negative, float32, ``[negatives]`` or ``[batch, negatives]``.
    """

    block: FeatureBlock
    targets: TargetRows
    present: Tensor
    log_share: Tensor


class BlockLinkTask:
    """Rank targets for entities; see :class:`gnnscale.training.task.TrainingTask`.

    Each epoch an example stands for one of its targets, drawn anew. Negatives are those of a rule of
    :mod:`gnnscale.sampling.negatives`; none is a target that the entity has in any training example.

    Args:
        settings: section ``training`` counts.
        source: of blocks around entities; its order says which examples are trained on.
        links: of its examples.
        model: fresh weights.
        negatives: that a positive is compared with.
        place: of this process.

    Raises:
        DataError: an example that is trained on has no target.
    """

    kept = ModelSelection("map@10")

    def __init__(
        self,
        settings: Settings,
        source: BlockSource,
        links: BlockLinks,
        model: BlockTowers,
        negatives: Negative,
        place: DistributedContext | None = None,
    ) -> None:
        self.settings, self.source, self.links, self.negatives = settings, source, links, negatives
        self.place = place or DistributedContext()
        trained = np.sort(np.concatenate(source.batches(0)))
        self.training = links.examples.take(trained)
        counts = np.diff(self.training.indptr)
        if (counts == 0).any():
            row = int(trained[np.flatnonzero(counts == 0)[0]])
            raise DataError(f"example {row} of {len(counts):,} to train on has no target; leave out those without one")
        entities = np.repeat(self.training.entities, counts)
        most = int(links.examples.entities.max(initial=0)) + 1
        self.known = KnownPositives.of_pairs(entities, self.training.targets, most)
        named = np.bincount(self.training.targets, minlength=len(model.learned)) > 0
        model.learned.copy_(torch.from_numpy(named))
        self.model: nn.Module = model.to(self.place.device)
        self._order: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches in the source's order."""
        if self._order[0] != epoch:
            self._order = (epoch, self.source.batches(epoch))
        return self._order[1]

    def prepare(self, rows: NDArray[np.int64], epoch: int, step: int) -> LinkBatch:
        """Blocks of the rows, a positive of each, and negatives of the batch."""
        seed, examples = self.settings.seed, self.links.examples
        positives = draw_positives(examples, rows, seed, epoch)
        request = NegativeRequest(
            examples.entities[rows],
            examples.anchors[rows],
            self.known,
            rows,
            positives,
            epoch,
            step,
            draw_positives(examples, self.batches(epoch)[step], seed, epoch),
        )
        found = self.negatives.sample(request)
        nodes = np.maximum(np.concatenate([positives, found.nodes.reshape(-1)]), 0)
        return LinkBatch(
            self.source.build(rows, epoch),
            self._targets(nodes),
            torch.from_numpy(found.present),
            torch.from_numpy(found.log_share),
        )

    def edges(self, prepared: LinkBatch) -> int:
        """Edges of the block."""
        return prepared.block.edges

    def loss(self, model: nn.Module, prepared: LinkBatch) -> Tensor:
        """Sum over the rows of the softmax over each one's positive and negatives."""
        device = self.place.device
        block, targets = prepared.block.received().to(device), prepared.targets.to(device)
        entity, target = model(block, targets)
        positive, negative = target[: len(entity)], target[len(entity) :]
        if prepared.log_share.ndim == 2:
            # [batch * negatives, channels] -> [batch, negatives, channels]
            negative = negative.unflatten(0, prepared.present.shape)
            scores = torch.einsum("bc,bnc->bn", entity, negative)
        else:
            scores = entity @ negative.T
        own = (entity * positive).sum(1)
        return sampled_softmax(own, scores, prepared.present.to(device), prepared.log_share.to(device))

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Full ranking of the targets that are there at the anchor, for the validation examples."""
        training = model.training
        model.eval()
        rows = rank_slice(self.links.validation, self.place.rank, self.place.workers)
        ranked = self._rank(model, rows)
        truth = self.links.examples.take(rows)
        metrics = evaluate_ranking(ranked, Ragged(truth.indptr, truth.targets), self._target_count(), (10, DEPTH))
        sums = [float(metrics.per_entity[name].sum()) for name in METRICS]
        own = torch.tensor([*sums, float(metrics.n_evaluated)], dtype=torch.float64, device=self.place.device)
        totals = self.place.total(own)
        model.train(training)
        return {name: float(totals[i] / totals[-1].clamp(min=1)) for i, name in enumerate(METRICS)}

    def description(self) -> dict[str, Any]:
        """Nothing: the configuration and the graph say it all."""
        return {}

    def _rank(self, model: Any, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first targets of some examples, int64 ``[rows, DEPTH]``, -1 where there are no more."""
        count, anchors = self._target_count(), self.links.examples.anchors[rows]
        possible = model.ranked(torch.arange(count, device=self.place.device))
        vectors = model.encode_targets(self._targets(np.arange(count)).to(self.place.device))
        ranked = np.full((len(rows), DEPTH), -1, np.int64)
        depth = min(DEPTH, count)
        for start in range(0, len(rows), SCORED):
            part = slice(start, start + SCORED)
            block = self.source.build(rows[part], 0).received().to(self.place.device)
            scores = model.entity(block) @ vectors.T
            valid = self.links.features.is_valid_at(np.arange(count), anchors[part][:, None])
            there = torch.from_numpy(valid).to(scores.device) & possible
            scores = scores.masked_fill(~there, -torch.inf)
            best = scores.topk(depth, dim=1)
            # What is not there at the anchor is not ranked.
            ranked[part, :depth] = best.indices.masked_fill(best.values == -torch.inf, -1).cpu().numpy()
        return ranked

    def _target_count(self) -> int:
        return len(self.links.features.times)

    def _targets(self, nodes: NDArray[np.int64]) -> TargetRows:
        return target_rows(self.links.features, nodes)


def target_rows(features: NodeFeatures, nodes: NDArray[np.int64]) -> TargetRows:
    """Some targets as the towers take them.

    Args:
        features: of all of them.
        nodes: node ids, int64 ``[targets]``.
    """
    return TargetRows(torch.from_numpy(nodes), gather_rows(features, nodes))

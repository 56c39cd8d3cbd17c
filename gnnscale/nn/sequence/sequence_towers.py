"""Entities by their latest actions, targets by what they are known by.

After PinnerFormer (Pancha et al., KDD 2022): one vector of an entity for each of its actions, made of those up to it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from gnnscale.batches import SequenceBatch, TargetRows
from gnnscale.config import SequenceSettings
from gnnscale.nn.block_model import TowerVectors
from gnnscale.nn.encoders.item_encoder import Embedding, Lookup, plain_lookup
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.nn.sequence.repeat_scores import RepeatedScores, RepeatScores
from gnnscale.nn.sequence.target_share import TargetShare
from gnnscale.nn.sequence.time_features import TimeFeatures
from gnnscale.nn.sequence.transformer import Transformer
from gnnscale.schema import TableManifest

START = 0.05
"""Deviation of the initial embeddings of targets, and of categories of actions."""


class PositionVectors(TowerVectors):
    """Vectors of asked positions ``[asked, channels]``, divided by the temperature, and of targets."""


class SequenceOutputs(NamedTuple):
    """Vectors; each scored target's share of in-batch positives, ``[targets]``, without an estimate none; and scores of
    what entities had had, where these have scores of their own."""

    vectors: PositionVectors
    share: Tensor
    repeated: RepeatedScores | None = None


class SequenceTowers(nn.Module):
    """A transformer over actions, and a tower of targets; scores are cosines over a learned temperature.

    With ``scores: product`` there are no towers, and scores are inner products of the transformer's states and of what
    targets are known by, over a temperature of the root of ``hidden``.

    Args:
        settings: of sequences.
        target: the targets' table.
        codes: number of categories of each categorical column of an action.
        timed: whether actions have times.
        hidden: width of the transformer.
        channels: of a vector.
        dropout: probability.
        embedding: what a target is known by: ``lookup``, ``feature`` or ``fusion`` of both.
        lookup: makes the table of targets' own embeddings; default: a plain one.
        new_targets: whether targets that no training example names are ranked too.

    Attributes:
        learned: which targets training examples name, bool ``[targets]``; embeddings of the others count as zero.
        repeats: whether what an entity has had has a score of its own, a bool.
        by_node: names of what has a row for each node, here each target.
    """

    learned: Tensor
    repeats: Tensor
    log_temperature: Tensor
    by_node = ("learned", "own.weight", "share.share")

    def __init__(
        self,
        settings: SequenceSettings,
        target: TableManifest,
        codes: tuple[int, ...],
        timed: bool,
        hidden: int,
        channels: int,
        dropout: float,
        embedding: Embedding = "fusion",
        lookup: Lookup | None = None,
        new_targets: bool = True,
    ) -> None:
        super().__init__()
        self.new_targets, self.least = new_targets, settings.least_temperature
        self.register_buffer("learned", torch.ones(target.rows, dtype=torch.bool))
        self.rows = RowEncoder(target, hidden) if embedding != "lookup" else None
        self.own = (lookup or plain_lookup)("target", target.rows, hidden, START) if embedding != "feature" else None
        tables = [nn.Embedding(number + 1, hidden) for number in codes]
        for table in tables:
            nn.init.normal_(table.weight, std=START)
        self.codes = nn.ModuleList(tables)
        self.numbers = nn.Linear(len(settings.numbers), hidden, bias=False) if settings.numbers else None
        self.times = settings.time_features if timed else ()
        self.time = TimeFeatures(settings.periods_days)
        linears = [nn.Linear(self.time.channels, hidden) for _ in self.times]
        for linear in linears:
            nn.init.normal_(linear.weight, std=START)
        self.from_times = nn.ModuleList(linears)
        inner = settings.feed_forward * hidden
        size = settings.layers, settings.heads, inner, settings.length
        self.transformer = Transformer(hidden, *size, dropout, settings.causal)
        self.product = settings.scores == "product"
        settings.check_widths(hidden, channels)
        self.entity_tower = nn.Identity() if self.product else _tower(hidden, channels)
        self.target_tower = nn.Identity() if self.product else _tower(hidden, channels)
        log_temperature = torch.tensor(math.log(hidden) / 2 if self.product else math.log(settings.temperature))
        if self.product:
            self.register_buffer("log_temperature", log_temperature)
        else:
            self.log_temperature = nn.Parameter(log_temperature)
        self.register_buffer("repeats", torch.zeros((), dtype=torch.bool))
        self.repeat = RepeatScores(hidden) if settings.repeats else None
        self.share = TargetShare(target.rows) if settings.frequency == "streaming" else None

    def set_repeats(self, wanted: bool) -> None:
        """Give what an entity has had a score of its own, or none: then there is nothing to learn of it."""
        self.repeats.fill_(wanted)
        if self.repeat is not None:
            # Workers wait for the gradient of whatever learns.
            self.repeat.requires_grad_(wanted)

    def forward(self, batch: SequenceBatch) -> SequenceOutputs:
        """Vectors of the asked positions and of the scored targets."""
        own = self._described(batch.items)
        states = self._states(batch, own)
        entity = self._vectors(states)
        every = self._scored(self.target_tower(own))
        target = every.index_select(0, batch.targets)
        repeated = self._repeated(batch, states, own, entity, every)
        share = entity.new_zeros(0)
        if self.share is not None:
            if self.training:
                self.share.count(batch.seen, batch.step)
            share = self.share(batch.items.nodes.index_select(0, batch.targets))
        return SequenceOutputs(PositionVectors(entity, target), share, repeated)

    def temperature(self) -> Tensor:
        """That cosines, or inner products, are divided by."""
        return self.log_temperature.exp().clamp(min=self.least)

    def encode_entities(self, batch: SequenceBatch) -> Tensor:
        """Vectors of the asked positions over the temperature, ``[asked, channels]``."""
        return self._vectors(self._states(batch, self._described(batch.items)))

    def encode_repeats(self, batch: SequenceBatch) -> tuple[Tensor, RepeatedScores | None]:
        """Vectors of the asked positions, and scores of what their entities have had, where these count."""
        own = self._described(batch.items)
        states = self._states(batch, own)
        entity = self._vectors(states)
        if batch.repeated is None or self.repeat is None:
            return entity, None
        return entity, self._repeated(batch, states, own, entity, self._scored(self.target_tower(own)))

    def encode_targets(self, targets: TargetRows) -> Tensor:
        """Vectors of targets, where scores are cosines of length 1, ``[targets, channels]``."""
        return self._scored(self.target_tower(self._described(targets)))

    def ranked(self, nodes: Tensor) -> Tensor:
        """Which targets, int64 ``[targets]``, may be ranked at all, bool ``[targets]``."""
        return torch.ones_like(nodes, dtype=torch.bool) if self.new_targets else self.learned[nodes]

    def _described(self, targets: TargetRows) -> Tensor:
        """What targets are known by, ``[targets, hidden]``."""
        parts = []
        if self.rows is not None:
            parts.append(self.rows(targets.features))
        if self.own is not None:
            parts.append(self.own(targets.nodes) * self.learned[targets.nodes].unsqueeze(1))
        # To a deviation of about 1, as what is added to them and the layers that follow have.
        return torch.stack(parts).sum(0) * (1 / START)

    def _repeated(
        self, batch: SequenceBatch, states: Tensor, own: Tensor, entity: Tensor, target: Tensor
    ) -> RepeatedScores | None:
        if batch.repeated is None or self.repeat is None:
            return None
        sequence = batch.asked // batch.tokens.shape[1]
        return self.repeat(states, own, entity, target, batch.repeated, sequence)

    def _vectors(self, states: Tensor) -> Tensor:
        return self._scored(self.entity_tower(states)) / self.temperature()

    def _states(self, batch: SequenceBatch, own: Tensor) -> Tensor:
        """What the transformer makes of the asked positions, ``[asked, hidden]``."""
        # An action without a target, and what fills a sequence up, has a vector of zeros.
        padded = torch.cat([own, own.new_zeros(1, own.shape[1])])
        actions = padded.index_select(0, batch.tokens.reshape(-1)).view(*batch.tokens.shape, -1)
        for table, codes in zip(self.codes, batch.codes.unbind(-1), strict=True):
            actions = actions + table(codes)
        if self.numbers is not None:
            actions = actions + self.numbers(batch.numbers)
        for linear, name in zip(self.from_times, self.times, strict=True):
            actions = actions + linear(self.time(batch.ages if name == "age" else batch.gaps))
        states = self.transformer(actions, batch.lengths, batch.places)
        return states.view(-1, states.shape[-1]).index_select(0, batch.asked)

    def _scored(self, vectors: Tensor) -> Tensor:
        return vectors if self.product else normalize(vectors, dim=1)


def _tower(hidden: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, channels))

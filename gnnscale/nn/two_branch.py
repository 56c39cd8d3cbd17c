"""The two-branch network for temporal link prediction.

After ContextGNN (Yuan et al., ICLR 2025): a pair branch scores the targets inside an entity's own sampled
neighborhood, a tower branch scores all the others, and one softmax over all targets trains both. A learned shift of
each entity makes the scores of the two branches comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnscale.batches import PairBatch, TargetBatch
from gnnscale.nn.encoders.event_encoder import EntityEncoder
from gnnscale.nn.encoders.item_encoder import Embedding, ItemEncoder, Lookup
from gnnscale.nn.keyed_dropout import KeyedDropout
from gnnscale.nn.segments import segment_sum, take_rows
from gnnscale.nn.targets import DemandEncoder
from gnnscale.schema import TableManifest

DEMAND = 32
PAIRS = 1 << 31
"""Targets are fewer: an entity and a target make one number."""

NOT_YET = -1e6
"""Bias of a target that does not exist at the anchor."""


@dataclass(frozen=True)
class Scores:
    """Scores and vectors of a batch.

    Args:
        pair: of each candidate within its example, ``[candidates]``.
        local: the same made comparable with tower scores, ``[candidates]``.
        entity: tower vectors, ``[examples, channels]``; the last entry is 1.
        target: tower vectors, ``[targets, channels]``; the last entry is the target's bias.
    """

    pair: Tensor
    local: Tensor
    entity: Tensor
    target: Tensor


@dataclass(frozen=True)
class TwoBranchSize:
    """Widths in channels, and drop-out."""

    event: int
    hidden: int
    tower: int
    feature: int
    identity: int
    dropout: float


class TwoBranchModel(nn.Module):
    """Pair branch and tower branch over one neighborhood.

    Args:
        entity, event_table, target: the tables.
        context: path -> table of further hops around the entity.
        group_columns: number of columns that group the candidates.
        target_fanout: latest events that are sampled for a target.
        size: widths.
        embedding: what a target is known by: ``lookup``, ``feature`` or ``fusion`` of both.
        new_targets: whether targets that no training example names are ranked too.
        lookup: makes the tables of targets' own embeddings; default: plain ones.
    """

    def __init__(
        self,
        entity: TableManifest,
        event_table: TableManifest,
        target: TableManifest,
        context: dict[tuple[str, ...], TableManifest],
        group_columns: int,
        target_fanout: int,
        size: TwoBranchSize,
        embedding: Embedding = "fusion",
        new_targets: bool = True,
        lookup: Lookup | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.around = EntityEncoder(entity, event_table, context, size.event)
        self.demand = DemandEncoder(target_fanout, DEMAND)
        widths = size.feature, size.identity, size.tower
        self.described = ItemEncoder(target, *widths, embedding, lookup, size.dropout)
        self.new_targets = new_targets

        sums, hidden = self.around.sums, size.hidden
        self.from_candidate = nn.Linear(sums + size.event, hidden)
        self.from_target = nn.Linear(self.described.channels + DEMAND, hidden, bias=False)
        self.from_groups = nn.ModuleList(nn.Linear(sums, hidden, bias=False) for _ in range(group_columns))
        self.from_entity = nn.Linear(self.around.entity_channels, hidden, bias=False)
        self.pair = nn.Sequential(nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, 64), nn.GELU())
        self.pair_dropout = KeyedDropout(size.dropout, "pair")
        self.pair_score = nn.Linear(64, 1)
        self.pair_skip = nn.Linear(sums, 1)

        summary = self.around.entity_channels + size.tower + 64
        self.attention = nn.Linear(64, 1)
        self.entity_hidden = nn.Sequential(nn.Linear(summary, 96), nn.GELU())
        self.entity_dropout = KeyedDropout(size.dropout, "entity")
        self.entity_tower = nn.Linear(96, size.tower)
        self.demand_tower = nn.Linear(DEMAND, size.tower)
        self.demand_bias = nn.Linear(DEMAND, 1)
        self.target_bias = nn.Linear(size.tower, 1)
        level = nn.Linear(32, 1)
        nn.init.constant_(level.bias, 5.0)
        self.shift = nn.Sequential(nn.Linear(summary, 32), nn.GELU(), level)

    def encode_targets(self, targets: TargetBatch, demand: Tensor | None = None) -> Tensor:
        """Tower vectors of targets, ``[targets, tower + 1]``; the last entry is the bias.

        That of a target which does not exist yet is so low that it comes after every other.
        """
        demand = self.demand(targets) if demand is None else demand
        own = self.described.tower(targets)
        bias = self.demand_bias(demand) + self.target_bias(own)
        there = targets.valid if self.new_targets else targets.valid & self.described.learned[targets.nodes]
        bias = bias.masked_fill(~there.unsqueeze(1), NOT_YET)
        return torch.cat([own + self.demand_tower(demand), bias], dim=1)

    def forward(self, batch: PairBatch) -> Scores:
        """Score the candidates of each example and encode its entities and targets."""
        examples = len(batch)
        view = self.around(batch)
        demand = self.demand(batch.targets)
        described = torch.cat([self.described.pair(batch.targets), demand], dim=1)

        hidden = self.from_candidate(view.candidate) + take_rows(self.from_target(described), batch.candidate_target)
        for layer, sums, group in zip(self.from_groups, view.group_sums, batch.groups, strict=True):
            hidden = hidden + take_rows(layer(sums), group)
        hidden = self.pair(hidden + take_rows(self.from_entity(view.entity), batch.example))
        pairs = batch.entities[batch.example] * PAIRS + batch.candidate_node
        hidden = self.pair_dropout(hidden, pairs)
        pair = (self.pair_score(hidden) + 0.1 * self.pair_skip(view.sums)).squeeze(1)

        target = self.encode_targets(batch.targets, demand)
        weight = torch.exp(self.attention(hidden).clamp(-8, 8))
        total = segment_sum(weight, batch.example, examples) + 1e-3
        vectors = take_rows(target, batch.candidate_target)[:, :-1]
        profile = segment_sum(weight * vectors, batch.example, examples) / total
        habits = segment_sum(weight * hidden, batch.example, examples) / total
        summary = torch.cat([0.3 * view.entity, profile, habits], dim=1)
        entity = self.entity_tower(self.entity_dropout(self.entity_hidden(summary), batch.entities)) + profile
        return Scores(
            pair=pair,
            local=pair + take_rows(self.shift(summary), batch.example).squeeze(1),
            entity=torch.cat([entity, torch.ones_like(entity[:, :1])], dim=1),
            target=target,
        )

"""The entity's own neighborhood: events summed per candidate, per group of candidates and in all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.batches import PairBatch
from gnnscale.nn.age import DECAYS, AgeEncoder
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.nn.segments import segment_sum, take_rows
from gnnscale.schema import TableManifest

EVENT_CHANNELS = 16


@dataclass(frozen=True)
class EntityView:
    """What the events say.

    Args:
        candidate: sums of event encodings and the latest one, ``[candidates, sums + channels]``.
        group_sums: sums over each group of candidates, one ``[groups, sums]`` a column.
        entity: sums over all events and over visits, with the entity's columns, ``[examples, width]``.
        sums: the candidate's sums alone, ``[candidates, sums]``.
    """

    candidate: Tensor
    group_sums: list[Tensor]
    entity: Tensor
    sums: Tensor


class EntityEncoder(nn.Module):
    """Message passing over two hops, entity - events - targets, with learned time.

    An event is encoded from its age, the gap to the event before it with the same target, and its own columns.
    Sums of softplus encodings and of the decays, in the logarithm, count events with learned weights, so that
    frequency and recency need not be given.

    Args:
        entity, event_table: the tables.
        context: path -> table of further hops around the entity.
        channels: of an event.
        row_channels: of the entity's own columns and of its further hops.
    """

    def __init__(
        self,
        entity: TableManifest,
        event_table: TableManifest,
        context: dict[tuple[str, ...], TableManifest],
        channels: int,
        row_channels: int = 16,
    ) -> None:
        super().__init__()
        self.age = AgeEncoder()
        self.gap = AgeEncoder(shortest=2.0)
        self.event_rows = RowEncoder(event_table, EVENT_CHANNELS)
        width = self.age.channels + self.gap.channels + 1 + EVENT_CHANNELS
        self.event = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, channels))
        self.entity_rows = RowEncoder(entity, row_channels)
        self.context_rows = nn.ModuleDict({_key(path): RowEncoder(table, 8) for path, table in context.items()})
        self.row_channels = row_channels
        # Without further hops there is nothing to train, and data-parallel training wants every parameter used.
        if context:
            self.context_age = AgeEncoder(periods=())
            self.context = nn.Linear(self.context_age.channels + 8, row_channels)
        self.sums = channels + DECAYS
        self.channels = channels
        self.entity_channels = 2 * self.sums + row_channels

    def forward(self, batch: PairBatch) -> EntityView:
        """One batch; shapes as in :class:`EntityView`."""
        examples, candidates = len(batch), len(batch.example)
        age = self.age(batch.event_age)
        first = (batch.event_gap < 0).to(age.dtype).unsqueeze(1)
        gap = self.gap(batch.event_gap.clamp(min=0)) * (1 - first)
        event = self.event(torch.cat([age, gap, first, self.event_rows(batch.event_features)], dim=1))
        weight = torch.cat([functional.softplus(event), age[:, :DECAYS]], dim=1)

        own = segment_sum(weight, batch.event_candidate, candidates)
        # Exactly one sum an example over all its candidates, whatever the columns that group them.
        whole = segment_sum(own, batch.example, examples)
        opens = batch.event_opens.nonzero().squeeze(1)
        visits = segment_sum(take_rows(weight, opens), batch.event_example[opens], examples)
        sums = damped_log(own)
        group_sums = [
            damped_log(segment_sum(own, index, count))
            for index, count in zip(batch.groups, batch.group_counts, strict=True)
        ]
        rows = self.entity_rows(batch.entity_features) + self._surroundings(batch)
        return EntityView(
            candidate=torch.cat([sums, take_rows(event, batch.last_event)], dim=1),
            group_sums=group_sums,
            entity=torch.cat([damped_log(whole), damped_log(visits), rows], dim=1),
            sums=sums,
        )

    def _surroundings(self, batch: PairBatch) -> Tensor:
        total = batch.entity_features.numerical.new_zeros(len(batch), self.row_channels)
        for hop in batch.context:
            rows = self.context_rows[_key(hop.path)](hop.features).view(*hop.present.shape, -1)
            slots = self.context(torch.cat([self.context_age(hop.age), rows], dim=-1))
            total = total + (slots * hop.present.unsqueeze(-1)).sum(1) / hop.present.shape[1]
        return total


def damped_log(sums: Tensor) -> Tensor:
    """log(x + 0.01): sums of non-negative weights on a scale that a linear layer can use."""
    return torch.log(sums + 1e-2)


def _key(path: tuple[str, ...]) -> str:
    return "/".join(path).replace(".", ":")

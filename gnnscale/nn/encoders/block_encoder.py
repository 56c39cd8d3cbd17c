"""Message passing over a sampled block, deepest paths first: from what surrounds an entity to one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gnnscale.batches import EntityBatch, PathShape, Slots
from gnnscale.nn.age import DECAYS, AgeEncoder
from gnnscale.nn.encoders.event_encoder import damped_log
from gnnscale.nn.encoders.rows import RowEncoder
from gnnscale.nn.segments import segment_max, segment_sum, take_rows
from gnnscale.schema import GraphManifest, TableManifest


class BlockEncoder(nn.Module):
    """One vector for each example of a batch.

    Args:
        paths: of the neighborhood, shorter ones first.
        manifest: of the graph.
        entity: the entities' table.
        channels: of an encoded slot.
        row_channels: of a row's columns.

    Attributes:
        channels: of the vector.
    """

    def __init__(
        self, paths: Sequence[PathShape], manifest: GraphManifest, entity: str, channels: int, row_channels: int
    ) -> None:
        super().__init__()
        self.paths = tuple(paths)
        self.rows = nn.ModuleDict()
        self.encoders = nn.ModuleDict()
        widths: dict[str, int] = {}
        for path in reversed(self.paths):
            table = manifest.table(path.table)
            if _rows_of(path.table) not in self.rows:
                self.rows[_rows_of(path.table)] = RowEncoder(table, row_channels)
            behind = [p for p in self.paths if p.parent == path.name]
            size = SlotSize(channels, row_channels, sum(widths[p.name] for p in behind), deep=bool(path.parent))
            encoder = ManySlots(table, size) if path.many else OneSlot(table, size)
            self.encoders[path.name], widths[path.name] = encoder, encoder.channels
        table = manifest.table(entity)
        self.entity_rows = RowEncoder(table, row_channels)
        self.age = AgeEncoder() if table.time_range else None
        around = sum(widths[p.name] for p in self.paths if not p.parent)
        self.channels = row_channels + around + (self.age.channels if self.age else 0)

    def forward(self, batch: EntityBatch) -> Tensor:
        """Examples to ``[examples, channels]``."""
        slots = dict(zip((p.name for p in self.paths), batch.slots, strict=True))
        messages: dict[str, Tensor] = {}
        for path in reversed(self.paths):
            own = slots[path.name]
            behind = [messages[p.name] for p in self.paths if p.parent == path.name]
            parents = len(slots[path.parent]) if path.parent else len(batch)
            # [rows, row_channels] -> [slots, row_channels]
            rows = self.rows[_rows_of(path.table)](own.features)
            messages[path.name] = self.encoders[path.name](own, rows, behind, parents)
        parts = [self.entity_rows(batch.features)] + ([self.age(batch.age)] if self.age else [])
        return torch.cat(parts + [messages[p.name] for p in self.paths if not p.parent], dim=1)


def _rows_of(table: str) -> str:
    """Name of a table's module: one can't be called like a method of the dictionary, as ``items`` would be."""
    return f"rows_{table}"


@dataclass(frozen=True)
class SlotSize:
    """Widths of one path.

    Args:
        channels: of an encoded slot.
        row: of its row's columns.
        behind: of the messages from behind it, together.
        deep: whether the parents are slots themselves, which take a short message.
    """

    channels: int
    row: int
    behind: int
    deep: bool


class OneSlot(nn.Module):
    """A parent that is looked up: its columns, its age, and what lies behind it.

    Args:
        table: that the path reaches.
        size: widths.
    """

    def __init__(self, table: TableManifest, size: SlotSize) -> None:
        super().__init__()
        self.age = AgeEncoder() if table.time_range else None
        width = size.row + size.behind + (self.age.channels if self.age else 0)
        # A table that is only described needs no more than its columns.
        self.slot = _two_layers(width, size.row) if width > size.row else None
        self.channels = size.row

    def forward(self, slots: Slots, rows: Tensor, behind: list[Tensor], parents: int) -> Tensor:
        """Slots to messages, ``[parents, channels]``; a parent without a slot gets zeros."""
        parts = [take_rows(rows, slots.row), *behind]
        if self.age:
            parts.append(self.age(slots.age) * slots.dated.unsqueeze(1))
        vector = torch.cat(parts, dim=1)
        vector = self.slot(vector) if self.slot else vector
        return vector if len(slots) == parents else segment_sum(vector, slots.parent, parents)


class ManySlots(nn.Module):
    """The rows that name a parent, with learned time.

    A slot is encoded from its row, its age, the gap to the older slot next to it, and the messages from behind it.
    Sums of softplus encodings and of decays, in the logarithm, count slots with learned weights, over all of them and
    over visits; mean and maximum describe them.

    Args:
        table: that the path reaches.
        size: widths.
    """

    def __init__(self, table: TableManifest, size: SlotSize) -> None:
        super().__init__()
        self.width = size.channels
        self.dated = table.time_range is not None
        if self.dated:
            self.age = AgeEncoder()
            self.gap = AgeEncoder(shortest=2.0)
        clock = self.age.channels + self.gap.channels + 1 if self.dated else 0
        self.slot = _two_layers(size.row + size.behind + clock, size.channels)
        width = 2 * (size.channels + DECAYS) + 2 * size.channels
        self.short = nn.Sequential(nn.Linear(width, size.channels), nn.GELU()) if size.deep else nn.Identity()
        self.channels = size.channels if size.deep else width

    def forward(self, slots: Slots, rows: Tensor, behind: list[Tensor], parents: int) -> Tensor:
        """Slots to messages, ``[parents, channels]``; a parent without a slot gets that of empty sums."""
        parts, decays = [take_rows(rows, slots.row), *behind], rows.new_ones(len(slots), DECAYS)
        if self.dated:
            first = (slots.gap < 0).to(rows.dtype).unsqueeze(1)
            age = self.age(slots.age)
            decays = age[:, :DECAYS]
            parts += [age * slots.dated.unsqueeze(1), self.gap(slots.gap.clamp(min=0)) * (1 - first), first]
        # [slots, width]
        event = self.slot(torch.cat(parts, dim=1))
        weight = torch.cat([functional.softplus(event), decays], dim=1)
        own, total = segment_sum(torch.cat([weight, event], dim=1), slots.parent, parents).split(
            [weight.shape[1], self.width], dim=1
        )
        opens = slots.opens.nonzero().squeeze(1)
        visits = segment_sum(take_rows(weight, opens), slots.parent[opens], parents)
        count = torch.bincount(slots.parent, minlength=parents).clamp(min=1).unsqueeze(1)
        largest = segment_max(event, slots.parent, parents)
        return self.short(torch.cat([damped_log(own), damped_log(visits), total / count, largest], dim=1))


def _two_layers(width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, channels))

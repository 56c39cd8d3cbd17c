"""The neighborhood network of node-level tasks: one vector of an entity's neighborhood, and a head for the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnscale.batches import AnswerShape, EntityBatch, PathShape
from gnnscale.nn.encoders.block_encoder import BlockEncoder
from gnnscale.nn.encoders.feature_encoder import FeatureEncoder
from gnnscale.nn.keyed_dropout import KeyedDropout
from gnnscale.nn.standardise import PiecewiseLinearEncoding, Standardise
from gnnscale.schema import GraphManifest

HARMONICS = (1, 2, 3)
"""Of the week; three tell seven days apart."""
CLASS_CHANNELS = 64


@dataclass(frozen=True)
class EntitySize:
    """Widths in channels, and drop-out."""

    channels: int
    hidden: int
    row: int
    dropout: float


class EntityModel(nn.Module):
    """Predicts an answer for each example.

    The inputs of an example are the message of its neighborhood, sums over windows, features, and the calendar;
    :meth:`calibrate` has to see a sample of them before training, to bring them to one scale.

    Args:
        paths: of the neighborhood.
        manifest: of the graph.
        entity: the entities' table.
        shape: of the answers.
        yearly: whether the time of the year is an input. Where training spans less than a year no day comes twice, so
            the day would only tell the anchors apart.
        sums: channels of the window sums of an example, and of each of its classes.
        features: of an example: names of the columns.
        size: widths.
    """

    def __init__(
        self,
        paths: Sequence[PathShape],
        manifest: GraphManifest,
        entity: str,
        shape: AnswerShape,
        yearly: bool,
        sums: tuple[int, int],
        features: Sequence[str],
        size: EntitySize,
    ) -> None:
        super().__init__()
        self.yearly = yearly
        self.around = BlockEncoder(paths, manifest, entity, size.channels, size.row)
        channels = self.around.channels + sums[0] + 2 * len(HARMONICS) + 2 * yearly
        self.standardise = Standardise(channels)
        self.pieces = PiecewiseLinearEncoding(sums[0])
        self.features = FeatureEncoder(features) if features else None
        self.dropouts = nn.ModuleList(KeyedDropout(size.dropout, name) for name in ("message", "first", "second"))
        width = channels + self.pieces.channels + (self.features.channels if self.features else 0)
        self.first = nn.Sequential(nn.Linear(width, size.hidden), nn.GELU())
        self.second = nn.Sequential(nn.Linear(size.hidden, size.hidden), nn.GELU())
        self.head = nn.Linear(size.hidden, shape.scores)
        self.skip = nn.Linear(width, shape.scores, bias=False)
        nn.init.zeros_(self.skip.weight)
        self.class_channels = sums[1]
        if self.class_channels:
            self.class_identity = nn.Parameter(torch.randn(shape.scores, CLASS_CHANNELS) * 0.05)
            self.from_sums = nn.Linear(self.class_channels, CLASS_CHANNELS)
            self.from_entity = nn.Linear(size.hidden, CLASS_CHANNELS, bias=False)
            self.class_score = nn.Sequential(nn.GELU(), nn.Linear(CLASS_CHANNELS, 32), nn.GELU(), nn.Linear(32, 1))

    def forward(self, batch: EntityBatch) -> Tensor:
        """Outputs ``[examples, scores]``: logits, or values in the target's own space."""
        message, rest = self.standardise(self._told(batch)).tensor_split([self.around.channels], dim=1)
        of_message, of_first, of_second = self.dropouts
        plain = [rest, self.pieces(batch.sums)]
        if self.features is not None:
            plain.append(self.features(batch.known))
        summary = torch.cat([of_message(message, batch.keys), *plain], dim=1)
        hidden = of_second(self.second(of_first(self.first(summary), batch.keys)), batch.keys)
        outputs: Tensor = self.head(hidden) + self.skip(summary)
        if self.class_channels:
            # [examples, classes, CLASS_CHANNELS]
            view = self.from_sums(batch.class_sums) + self.class_identity + self.from_entity(hidden).unsqueeze(1)
            outputs = outputs + self.class_score(view).squeeze(2)
        return outputs

    @torch.no_grad()
    def calibrate(self, batch: EntityBatch) -> None:
        """Take what the inputs are scaled by from a sample of the training examples."""
        self.standardise.fit(self._told(batch))
        self.pieces.fit(batch.sums)
        if self.features is not None:
            self.features.fit(batch.known)

    def _told(self, batch: EntityBatch) -> Tensor:
        return torch.cat([self.around(batch), batch.sums, self._calendar(batch.calendar)], dim=1)

    def _calendar(self, calendar: Tensor) -> Tensor:
        phase = 2 * math.pi * torch.stack([calendar[:, 0] * n for n in HARMONICS], dim=1)
        if self.yearly:
            phase = torch.cat([phase, 2 * math.pi * calendar[:, 1:]], dim=1)
        return torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)

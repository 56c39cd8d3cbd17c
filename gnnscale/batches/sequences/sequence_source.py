"""Where the sequence network has its batches from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.sequences.action_log import Positions
from gnnscale.batches.sequences.positions import (
    Asked,
    KnownActions,
    SequenceObjective,
    window_starts,
)
from gnnscale.batches.sequences.sequence_batch import SequenceBatch, SequenceBuilder
from gnnscale.sampling import permutation, stream_key
from gnnscale.schema import DataError

POOL = 24
"""Batches that are sorted by length together: of more, a batch's sequences would be too much alike."""


class SequenceSource:
    """Sequences of labelled examples, of any entities, and those that an objective trains on.

    Row numbers of :meth:`batches` and :meth:`ask` are of training sequences, those of :meth:`build` of examples.

    Args:
        builder: of the batches.
        known: actions that training may look at.
        objective: what it asks of them.
        examples: labelled ones, by row number.
        ends: where the actions of each example end, int64 ``[examples]``.
        batch_size: sequences of a global batch, on average: batches have as many actions each.
        seed: of the run.
    """

    def __init__(
        self,
        builder: SequenceBuilder,
        known: KnownActions,
        objective: SequenceObjective,
        examples: Examples,
        ends: Positions,
        batch_size: int,
        seed: int,
    ) -> None:
        self.builder, self.known, self.objective = builder, known, objective
        self.examples, self.ends = examples, ends
        self.batch_size, self.seed = batch_size, seed
        self.windows = objective.windows(known)
        self.lengths = self.windows.ends - window_starts(known, self.windows)

    def check_sequences(self) -> None:
        """See that there is something to train on.

        Raises:
            DataError: no entity has an action to predict after another, as the objective asks.
        """
        if not len(self.lengths):
            raise DataError(
                "no entity has actions to train on: training.objective asks for one before and one after within what "
                "is known at the validation anchor"
            )

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Every training sequence once, those of a batch of about one length; as many batches in every epoch.

        A keyed order is cut into pools, each sorted by length and cut where as many actions are before as after.
        """
        count = len(self.lengths)
        order = permutation(stream_key(self.seed, epoch, "order/sequences"), count)
        pools = max(1, round(count / (self.batch_size * POOL)))
        parts = max(1, round(count / (self.batch_size * pools)))
        batches: list[NDArray[np.int64]] = []
        for pool in np.array_split(order, pools):
            rows = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += np.split(rows, self._cuts(self.lengths[rows], min(parts, len(rows))))
        mixed = permutation(stream_key(self.seed, epoch, "order/batches"), len(batches))
        return [batches[i] for i in mixed]

    @staticmethod
    def _cuts(lengths: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
        """Where to cut sequences so that parts have as many actions, and each at least one sequence."""
        number = np.arange(1, parts)
        total = np.cumsum(lengths)
        wanted = np.searchsorted(total, total[-1:] * number / max(1, parts)) if parts > 1 else number
        ascending = np.maximum.accumulate(np.maximum(wanted, number) - number) + number
        return np.minimum(ascending, len(lengths) - parts + number)

    def ask(self, rows: NDArray[np.int64], epoch: int) -> Asked:
        """What an epoch asks of some training sequences."""
        return self.objective.ask(self.known, self.windows.take(rows), self.seed, epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> SequenceBatch:
        """Sequences of some examples, up to their anchors."""
        anchors = self.examples.anchors[rows]
        return self.builder.build(self.examples.entities[rows], self.ends[rows], targets=targets, anchors=anchors)

    def around(
        self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0, repeated: bool = True
    ) -> SequenceBatch:
        """Sequences of any entities up to their anchors; without what they have had, where it is not wanted."""
        ends = self.builder.log.end_at(entities, anchors)
        return self.builder.build(entities, ends, repeated=repeated, anchors=anchors)

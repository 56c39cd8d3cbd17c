"""Sequences of one batch as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.blocks.tower_batches import TargetRows
from gnnscale.batches.sequences.action_log import ActionLog, Positions
from gnnscale.batches.sequences.positions import DAY
from gnnscale.batches.sequences.repeated_targets import RepeatedTargets, repeated_targets
from gnnscale.store import NodeFeatures


@dataclass(frozen=True)
class SequenceBatch(Batch):
    """Sequences, each filled up behind its end to the longest of the batch.

    Args:
        items: the targets that the batch names.
        tokens: row of ``items`` of each action, int64 ``[batch, length]``; their number where there is none.
        lengths: actions of each sequence, int64 ``[batch]``.
        places: of the actions among all, int64 ``[batch, length]``: what drop-out follows.
        ages: days until the latest action of the sequence, float32 ``[batch, length]``; empty without times.
        gaps: days since the action before, in the same shape.
        codes: categories, int64 ``[batch, length, columns]``.
        numbers: float32 ``[batch, length, columns]``.
        asked: positions whose vectors are wanted, as ``row * length + column``, int64 ``[asked]``.
        positives: target of each of these, int64 ``[asked]``; empty where none is known.
        targets: rows of ``items`` that are scored, int64 ``[targets]``.
        seen: targets of the actions that training has just looked at, of the whole global batch, int64.
        step: its number.
        catalogue: number of all targets.
        edges: actions that were read.
        repeated: what the entities had had by the asked positions; None where it does not count.
    """

    items: TargetRows
    tokens: Tensor
    lengths: Tensor
    places: Tensor
    ages: Tensor
    gaps: Tensor
    codes: Tensor
    numbers: Tensor
    asked: Tensor
    positives: Tensor
    targets: Tensor
    seen: Tensor
    step: int = 0
    catalogue: int = 0
    edges: int = 0
    repeated: RepeatedTargets | None = None

    def __len__(self) -> int:
        return len(self.tokens)


class SequenceBuilder:
    """Reads sequences out of a log.

    Args:
        log: of all actions.
        features: of all targets.
        length: latest actions that are read.
        repeated: latest actions whose targets are told, too, with how often and when; 0 for none.
    """

    def __init__(self, log: ActionLog, features: NodeFeatures, length: int, repeated: int = 0) -> None:
        self.log, self.features, self.length, self.repeated = log, features, length, repeated

    @property
    def catalogue(self) -> int:
        """Number of all targets."""
        return len(self.features.times)

    def build(
        self,
        entities: NDArray[np.int64],
        ends: Positions,
        asked: tuple[NDArray[np.int64], Positions] | None = None,
        positives: NDArray[np.int64] | None = None,
        targets: NDArray[np.int64] | None = None,
        everything: bool = False,
        seen: NDArray[np.int64] | None = None,
        step: int = 0,
        repeated: bool = True,
        anchors: NDArray[np.int32] | None = None,
    ) -> SequenceBatch:
        """Some sequences.

        Args:
            entities: whose they are, int64 ``[batch]``.
            ends: where each ends, int64 ``[batch]``.
            asked: row of each wanted vector and the place of its action; default: the latest of each sequence.
            positives: target of each of these.
            targets: to score, node ids.
            everything: whether all targets are scored instead.
            seen: targets of the global batch.
            step: its number.
            repeated: whether to tell what entities have had, if the builder does.
            anchors: of the sequences, int32 ``[batch]``: of what entities have had, only what is there then is told.
        """
        starts = np.maximum(self.log.indptr[entities], ends - self.length)
        lengths = ends - starts
        width = max(1, int(lengths.max(initial=1)))
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        places = np.where(inside, starts[:, None] + columns, 0)
        named = np.where(inside, self.log.targets_at(places), -1)
        if asked is None:
            asked = np.arange(len(ends)), np.maximum(ends - 1, starts)
        flat = asked[0] * width + (asked[1] - starts[asked[0]])
        had = repeated_targets(self.log, entities, ends, asked, self.repeated) if repeated and self.repeated else None
        if had is not None and anchors is not None:
            there = self.features.is_valid_at(np.maximum(had.targets, 0), anchors[:, None])
            had = had.among(there[asked[0]])
        scored = np.zeros(0, np.int64) if targets is None else targets
        if everything:
            distinct = np.arange(self.catalogue)
            tokens, scored = np.where(named < 0, self.catalogue, named), distinct
        else:
            further = [had.targets.reshape(-1)] if had is not None else []
            named_here = np.concatenate([named.reshape(-1), scored, *further])
            distinct, inverse = np.unique(named_here, return_inverse=True)
            if len(distinct) and distinct[0] < 0:
                # -1 came first; it is moved behind the others.
                distinct, inverse = distinct[1:], np.where(inverse == 0, len(distinct) - 1, inverse - 1)
            tokens, scored = inverse[: named.size].reshape(named.shape), inverse[named.size : named.size + scored.size]
        ages, gaps = self._ages(places, lengths, inside)
        none = np.zeros(0, np.int64)
        arrays: dict[str, Any] = {
            "tokens": tokens,
            "lengths": lengths,
            "places": places,
            "ages": ages,
            "gaps": gaps,
            "codes": self.log.codes_at(places) * inside[..., None],
            "numbers": self.log.numbers_at(places) * inside[..., None].astype(np.float32),
            "asked": flat,
            "positives": none if positives is None else positives,
            "targets": scored,
            "seen": none if seen is None else seen,
        }
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        items = TargetRows.of(self.features, distinct)
        told = None if had is None else had.on(distinct)
        edges = int(lengths.sum())
        return SequenceBatch(items, **tensors, step=step, catalogue=self.catalogue, edges=edges, repeated=told)

    def _ages(
        self, places: Positions, lengths: NDArray[np.int64], inside: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.log.times is None:
            none = np.zeros((*places.shape[:1], 0), np.float32)
            return none, none
        times = np.asarray(self.log.times[places]).astype(np.int64)
        latest = times[np.arange(len(times)), np.maximum(lengths - 1, 0)]
        ages = np.where(inside, latest[:, None] - times, 0) / DAY
        gaps = np.zeros_like(times, np.float64)
        gaps[:, 1:] = np.where(inside[:, 1:], times[:, 1:] - times[:, :-1], 0) / DAY
        return ages.astype(np.float32), gaps.astype(np.float32)

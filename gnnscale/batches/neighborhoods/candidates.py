"""From an entity's sampled events to the distinct targets among them: the candidates of the pair branch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.batches.examples.link_examples import Examples
from gnnscale.sampling import Hop

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Events in a flat layout, and the candidates and groups that they belong to.

    Groups are the candidates of one example whose target has the same value in a categorical column.

    Args:
        event_node: node id of each event, int64 ``[events]``, oldest first within an example.
        event_candidate: index of its candidate, int64 ``[events]``.
        event_example: index of its example, int64 ``[events]``.
        event_age: seconds from the event to the anchor, int64 ``[events]``.
        event_gap: seconds since the example's previous event with the same target, -1 for the first, ``[events]``.
        event_opens: whether the event's time differs from the event before it, bool ``[events]``: events of one
            time are one visit.
        target: node id of each candidate, int64 ``[candidates]``.
        example: index of its example, int64 ``[candidates]``, ascending.
        last_event: index of its latest event, int64 ``[candidates]``.
        is_positive: whether it came true, bool ``[candidates]``.
        groups: for each of ``model.group_columns``, the index of a candidate's group, int64 ``[columns, candidates]``.
        group_counts: number of groups for each of these columns.
        explore_target, explore_example: targets that came true and are not candidates, int64 ``[explored]``.
    """

    event_node: Ids
    event_candidate: Ids
    event_example: Ids
    event_age: Ids
    event_gap: Ids
    event_opens: NDArray[np.bool_]
    target: Ids
    example: Ids
    last_event: Ids
    is_positive: NDArray[np.bool_]
    groups: Ids
    group_counts: tuple[int, ...]
    explore_target: Ids
    explore_example: Ids


class CandidateBuilder:
    """Builds :class:`Candidates`; holds scratch arrays, so one a thread.

    Args:
        group_codes: categorical codes of the targets, int ``[targets, columns]``.
    """

    def __init__(self, group_codes: NDArray[np.int32]) -> None:
        self._group_codes = np.ascontiguousarray(group_codes.astype(np.int64))
        targets, columns = group_codes.shape
        self._slot = np.full(targets, -1, np.int64)
        largest = int(group_codes.max(initial=0)) + 1
        self._group_slot = np.full((columns, largest), -1, np.int64)

    def build(self, events: Hop, targets: Hop, examples: Examples) -> Candidates:
        """Collect the candidates of each seed.

        Args:
            events: first hop around ``examples.entities``, nodes ``[batch, fanout]``, latest first.
            targets: second hop, nodes ``[batch, fanout, 1]``.
            examples: the seeds' examples, in order.
        """
        out = _collect(
            events.nodes,
            targets.nodes[:, :, 0],
            events.times,
            examples.anchors,
            self._group_codes,
            examples.indptr,
            examples.targets,
            self._slot,
            self._group_slot,
        )
        *arrays, counts = out
        before, after = arrays[:11], arrays[11:]
        return Candidates(*before, tuple(int(c) for c in counts), *after)  # type: ignore[call-arg]


@njit(nogil=True, cache=True)
def _collect(events, targets, times, anchors, group_codes, indptr, truth, slot, group_slot):  # type: ignore[no-untyped-def]
    batch, fanout = events.shape
    columns = group_codes.shape[1]
    capacity = 0
    for b in range(batch):
        for j in range(fanout):
            if events[b, j] >= 0 and targets[b, j] >= 0:
                capacity += 1
    node = np.empty(capacity, np.int64)
    candidate = np.empty(capacity, np.int64)
    event_example = np.empty(capacity, np.int64)
    age = np.empty(capacity, np.int64)
    gap = np.empty(capacity, np.int64)
    opens = np.zeros(capacity, np.bool_)
    target = np.empty(capacity, np.int64)
    example = np.empty(capacity, np.int64)
    last = np.empty(capacity, np.int64)
    groups = np.empty((columns, capacity), np.int64)
    group_counts = np.zeros(columns, np.int64)
    positive = np.zeros(capacity, np.bool_)
    explore_target = np.empty(len(truth), np.int64)
    explore_example = np.empty(len(truth), np.int64)
    event_count, candidate_count, explore_count = 0, 0, 0
    # An entry of slot belongs to this example if it is at or past the first candidate of the example.
    group_slot[:] = -1
    first_group = np.zeros(columns, np.int64)
    for b in range(batch):
        first_candidate = candidate_count
        for c in range(columns):
            first_group[c] = group_counts[c]
        previous = np.int64(-(1 << 40))
        for back in range(fanout):
            j = fanout - 1 - back
            item = targets[b, j]
            if events[b, j] < 0 or item < 0:
                continue
            if slot[item] < first_candidate:
                slot[item] = candidate_count
                target[candidate_count] = item
                example[candidate_count] = b
                last[candidate_count] = -1
                for c in range(columns):
                    code = group_codes[item, c]
                    if group_slot[c, code] < first_group[c]:
                        group_slot[c, code] = group_counts[c]
                        group_counts[c] += 1
                    groups[c, candidate_count] = group_slot[c, code]
                candidate_count += 1
            at = slot[item]
            time = np.int64(times[b, j])
            node[event_count] = events[b, j]
            candidate[event_count] = at
            event_example[event_count] = b
            age[event_count] = np.int64(anchors[b]) - time
            gap[event_count] = -1
            if last[at] >= 0:
                gap[event_count] = age[last[at]] - age[event_count]
            last[at] = event_count
            opens[event_count] = time != previous
            previous = time
            event_count += 1
        for i in range(indptr[b], indptr[b + 1]):
            item = truth[i]
            if slot[item] >= first_candidate:
                positive[slot[item]] = True
            else:
                explore_target[explore_count] = item
                explore_example[explore_count] = b
                explore_count += 1
    # There may be far more targets than candidates: only what was written is cleared.
    for i in range(candidate_count):
        slot[target[i]] = -1
    return (
        node,
        candidate,
        event_example,
        age,
        gap,
        opens,
        target[:candidate_count].copy(),
        example[:candidate_count].copy(),
        last[:candidate_count].copy(),
        positive[:candidate_count].copy(),
        groups[:, :candidate_count].copy(),
        explore_target[:explore_count].copy(),
        explore_example[:explore_count].copy(),
        group_counts,
    )


@njit(nogil=True, cache=True)
def known_pairs(negatives, examples, example, target, explore_example, explore_target, table):  # type: ignore[no-untyped-def]
    """Which negatives are no negatives for which example: its candidates and its positives.

    Args:
        negatives: int64 ``[negatives]``, repeats allowed.
        examples: number of examples.
        example, target: of the candidates.
        explore_example, explore_target: of the other positives.
        table: scratch, int64 ``[targets]``, all -1; left so.

    Returns:
        bool ``[examples, negatives]``.
    """
    number = len(negatives)
    following = np.full(number, -1, np.int64)
    for i in range(number):
        following[i] = table[negatives[i]]
        table[negatives[i]] = i
    known = np.zeros((examples, number), np.bool_)
    for i in range(len(target)):
        at = table[target[i]]
        while at >= 0:
            known[example[i], at] = True
            at = following[at]
    for i in range(len(explore_target)):
        at = table[explore_target[i]]
        while at >= 0:
            known[explore_example[i], at] = True
            at = following[at]
    for i in range(number):
        table[negatives[i]] = -1
    return known

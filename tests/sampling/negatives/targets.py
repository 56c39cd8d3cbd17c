"""Small sets of targets, with what is known of entities, for the tests of negatives."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gnnscale.sampling.negatives.known import KnownPositives
from gnnscale.sampling.negatives.popularity import Popularity
from gnnscale.sampling.negatives.request import NegativeRequest
from gnnscale.store import ALWAYS
from gnnscale.store.features import NEVER, NodeFeatures


def features_of(times: list[int], ends: list[int] | None = None) -> NodeFeatures:
    """Of targets that have nothing but times."""
    empty = np.zeros((len(times), 0), np.float32), np.zeros((len(times), 0), np.int32)
    return NodeFeatures(*empty, np.array(times, np.int32), None if ends is None else np.array(ends, np.int32))


def known_of(rows: list[list[int]]) -> KnownPositives:
    """From a list of targets for each entity."""
    entities = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return KnownPositives.of_pairs(entities, np.array([t for row in rows for t in row], np.int64), len(rows))


def request_of(known: KnownPositives, entities, anchors, **options) -> NegativeRequest:
    """Of lists."""
    return NegativeRequest(np.array(entities, np.int64), np.array(anchors, np.int32), known, **options)


def allowed_to(request: NegativeRequest, popularity: Popularity, b: int) -> list[int]:
    """The targets that an example may have, one after the other."""
    known, entity = request.known, request.entities[b]
    positives = known.targets[known.indptr[entity] : known.indptr[entity + 1]].tolist()
    features, anchor, found = popularity.features, request.anchors[b], []
    for node in range(len(popularity)):
        there = features is None or features.times[node] <= anchor
        ended = features is not None and features.valid_until is not None and features.valid_until[node] <= anchor
        if there and not ended and node not in positives:
            found.append(node)
    return found


def deviations(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    """Chi-square of counts against shares, in standard deviations from what chance gives."""
    expected = shares * counts.sum()
    assert not counts[shares == 0].any() and expected[shares > 0].min() > 5
    freedom = (shares > 0).sum() - 1
    statistic = ((counts - expected)[shares > 0] ** 2 / expected[shares > 0]).sum()
    return float((statistic - freedom) / np.sqrt(2 * freedom))


@st.composite
def popularities(draw: st.DrawFn, most: int = 12) -> Popularity:
    """Of targets that come and end or not."""
    count = draw(st.integers(1, most))
    come = st.one_of(st.just(int(ALWAYS)), st.integers(-3, 9), st.just(int(NEVER)))
    times = draw(st.lists(come, min_size=count, max_size=count))
    ends = draw(st.none() | st.lists(st.integers(-3, 9) | st.just(int(NEVER)), min_size=count, max_size=count))
    counts = draw(st.lists(st.integers(0, 3) | st.integers(0, 10**9), min_size=count, max_size=count))
    features = draw(st.sampled_from([None, features_of(times, ends)]))
    return Popularity(np.array(counts), draw(st.sampled_from([0.0, 0.75, 1.0])), features)


@st.composite
def requests(draw: st.DrawFn, targets: int) -> NegativeRequest:
    """Of entities some of which know all targets."""
    everything = st.just(list(range(targets)))
    rows = draw(st.lists(everything | st.lists(st.integers(0, targets - 1), max_size=8), min_size=1, max_size=4))
    batch = draw(st.integers(0, 5))
    entities = draw(st.lists(st.integers(0, len(rows) - 1), min_size=batch, max_size=batch))
    anchors = draw(st.lists(st.integers(-4, 10), min_size=batch, max_size=batch))
    return request_of(known_of(rows), entities, anchors, examples=np.arange(batch) + draw(st.integers(0, 99)))

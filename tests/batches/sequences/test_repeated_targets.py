"""What entities have had by some of their actions, held against a count by hand."""

from dataclasses import replace

import numpy as np
import pytest

from gnnscale.batches import ActionLog, share_of_repeated
from gnnscale.batches.sequences.repeated_targets import RATES, RATIO, SHORTEST, repeated_targets
from tests.batches.sequences.logs import DAY, ITEMS, builder_of, known_until, random_log


def asked_everywhere(log: ActionLog, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Every place of the last stretch of each entity."""
    starts = np.maximum(log.indptr[:-1], log.indptr[1:] - length)
    window = np.repeat(np.arange(log.entities), log.indptr[1:] - starts)
    return window, np.concatenate([np.arange(a, b) for a, b in zip(starts, log.indptr[1:], strict=True)])


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("most", [5, 100])
def test_counts_decay_and_end_at_the_action(timed, most):
    log = random_log(timed=timed)
    window, places = asked_everywhere(log, most)
    # Whatever their order within a sequence.
    order = np.lexsort((-places, window))
    window, places = window[order], places[order]
    found = repeated_targets(log, np.arange(log.entities), log.indptr[1:], (window, places), most)
    half_lives = SHORTEST * RATIO ** np.arange(RATES)
    stamps = np.arange(log.indptr[-1], dtype=float) if log.times is None else log.times / DAY
    checked = 0
    for row, (sequence, place) in enumerate(zip(window, places, strict=True)):
        before = np.arange(max(log.indptr[sequence], log.indptr[sequence + 1] - most), place + 1)
        named = log.targets_at(before)
        had = found.had[row]
        assert set(found.targets[sequence][had]) == set(named[named >= 0])
        assert not found.figures[row][~had].any()
        for target, figures in zip(found.targets[sequence][had], found.figures[row][had], strict=True):
            past = stamps[place] - stamps[before[named == target]]
            np.testing.assert_allclose(figures[:RATES], (0.5 ** (past[:, None] / half_lives)).sum(0), rtol=1e-5)
            assert figures[RATES] == pytest.approx(past.min(), abs=1e-5)
            checked += 1
    assert checked > 100


def test_rows_are_of_the_items_of_the_batch():
    log = random_log()
    builder = builder_of(log, length=3)
    builder.repeated = 100
    batch = builder.build(np.arange(log.entities), log.indptr[1:], targets=np.array([1, 2]))
    assert batch.repeated is not None
    for entity, rows in enumerate(batch.repeated.rows):
        named = log.targets_at(np.arange(log.indptr[entity], log.indptr[entity + 1]))
        kept = rows[rows < len(batch.items.nodes)]
        assert batch.items.nodes[kept].tolist() == sorted(set(named[named >= 0]))
    # Somebody has done nothing, and has had nothing.
    nobody = np.diff(log.indptr) == 0
    assert nobody.any() and not nobody[-1]
    assert batch.repeated.had.any(1).tolist() == (~nobody).tolist()
    # What is scored and what was done is the same as without.
    plain = builder.build(np.arange(log.entities), log.indptr[1:], targets=np.array([1, 2]), repeated=False)
    assert plain.repeated is None
    assert batch.items.nodes[batch.targets].tolist() == plain.items.nodes[plain.targets].tolist() == [1, 2]
    nodes = [np.append(part.items.nodes.numpy(), -1)[part.tokens.numpy()] for part in (batch, plain)]
    np.testing.assert_array_equal(*nodes)


def test_nobody_has_had_nothing():
    log = random_log()
    none = np.zeros(0, np.int64)
    found = repeated_targets(log, none, none, (none, none), 10)
    assert found.targets.shape == (0, 0)
    assert found.figures.shape == (0, 0, RATES + 1)


def test_the_share_of_repeats_is_of_known_actions():
    log = random_log()
    known = known_until(log, 20)
    assert log.times is not None
    events = {
        (entity, int(target), int(log.times[place]))
        for entity in range(log.entities)
        for place in range(log.indptr[entity], known.limits[entity])
        if (target := log.targets_at(np.array([place]))[0]) >= 0
    }
    pairs = {event[:2] for event in events}
    assert 0 < len(pairs) < len(events)
    assert share_of_repeated(known) == pytest.approx(1 - len(pairs) / len(events))
    assert share_of_repeated(known_until(log, -1)) == 0.0
    # Of the actions of one kind alone.
    kinds = known_until(log, 20, positive_codes=(1,))
    places = np.concatenate([np.arange(a, b) for a, b in zip(log.indptr[:-1], kinds.limits, strict=True)])
    counted = kinds.may_be_positive(places).sum()
    assert 0 < counted < len(places) and share_of_repeated(kinds) != share_of_repeated(known)


def test_rows_of_one_time_are_one_action():
    """Two rows of a basket for one product are no repeat of it."""
    day = np.repeat(np.arange(10), 2) * DAY
    log = ActionLog(np.array([0, 20]), None, None, np.repeat(np.arange(10), 2), day.astype(np.int32))
    assert share_of_repeated(known_until(log, 10)) == 0.0


def test_whoever_is_asked_about_an_action_is_told_of_all_up_to_it():
    log = random_log()
    window, places = asked_everywhere(log, 12)
    found = repeated_targets(log, np.arange(log.entities), log.indptr[1:], (window, places), 3)
    for row, place in enumerate(places):
        (target,) = log.targets_at(np.array([place]))
        assert target < 0 or target in found.targets[window[row]][found.had[row]]


def test_what_is_not_there_at_the_anchor_is_not_told():
    log = random_log()
    builder = builder_of(log, length=3)
    builder.repeated = 100
    gone = np.full(ITEMS, 2**31 - 1, np.int32)
    gone[:7] = 5 * DAY
    builder.features = replace(builder.features, valid_until=gone)
    anchors = np.full(log.entities, 50 * DAY, np.int32)
    anchors[::2] = 4 * DAY
    batch, plain = (builder.build(np.arange(log.entities), log.indptr[1:], anchors=a) for a in (anchors, None))
    assert batch.repeated is not None and plain.repeated is not None
    nodes = np.append(batch.items.nodes.numpy(), -1)[batch.repeated.rows.numpy()]
    lost = (nodes < 7) & (anchors > 5 * DAY)[:, None]
    had, before = batch.repeated.had.numpy(), plain.repeated.had.numpy()
    assert (before & lost).any() and (had == (before & ~lost)).all()
    assert not batch.repeated.figures.numpy()[~had].any()

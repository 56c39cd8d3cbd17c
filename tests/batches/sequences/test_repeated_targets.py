"""What entities have had by some of their actions, held against a count by hand."""

import numpy as np
import pytest

from gnnscale.batches import ActionLog, share_of_repeated
from gnnscale.batches.sequences.repeated_targets import RATES, RATIO, SHORTEST, repeated_targets
from tests.batches.sequences.logs import DAY, builder_of, known_until, random_log


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
    pairs = [
        (entity, target)
        for entity in range(log.entities)
        for target in log.targets_at(np.arange(log.indptr[entity], known.limits[entity]))
        if target >= 0
    ]
    assert share_of_repeated(known) == pytest.approx(1 - len(set(pairs)) / len(pairs))
    assert share_of_repeated(known_until(log, -1)) == 0.0

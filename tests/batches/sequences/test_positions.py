"""What training asks of sequences: never what is not known yet, and the same whatever the batch."""

import numpy as np
import pytest

from gnnscale.batches import SequenceSource
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.sequences.action_log import first_after
from gnnscale.batches.sequences.positions import window_starts
from gnnscale.config import read_options
from gnnscale.schema import SEQUENCE_OBJECTIVES, ConfigError, DataError
from tests.batches.sequences.logs import DAY, builder_of, known_until, random_log

CASES = [
    ("sasrec", {}),
    ("next_action", {}),
    ("all_action", {"days": 9}),
    ("dense_all_action", {"days": 9, "positions": 3}),
]


def objective_of(name, options):
    found = SEQUENCE_OBJECTIVES.find(name)
    return found(read_options("sequence_objective", name, found, options))


def source_of(log, known, objective, batch_size=3):
    nobody = Examples.unlabelled(np.zeros(0, np.int64), 0)
    return SequenceSource(builder_of(log), known, objective, nobody, nobody.entities, batch_size, seed=5)


def test_the_first_later_action_of_each_entity_is_found():
    log = random_log()
    rng = np.random.default_rng(1)
    for value in rng.integers(-1, 41, 20) * DAY:
        found = log.end_at(np.arange(log.entities), np.full(log.entities, value))
        for entity in range(log.entities):
            own = log.times[log.indptr[entity] : log.indptr[entity + 1]]
            assert found[entity] - log.indptr[entity] == (own <= value).sum()
    assert len(first_after(log.times, np.zeros(0, int), np.zeros(0, int), np.zeros(0))) == 0


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("positive_codes", [(), (2,)])
def test_positives_are_known_later_actions_of_the_same_entity(name, options, positive_codes):
    log = random_log()
    known = known_until(log, 30, positive_codes=positive_codes)
    source = source_of(log, known, objective_of(name, options))
    rows = np.arange(len(source.lengths))
    asked = source.ask(rows, epoch=2)
    assert len(asked.place) > 3
    entity = source.windows.entities[asked.window]
    starts = window_starts(known, source.windows)[asked.window]
    assert (asked.place >= starts).all() and (asked.place < source.windows.ends[asked.window]).all()
    assert (asked.positive > asked.place).all() and (asked.positive < known.limits[entity]).all()
    assert (log.times[asked.positive] <= 30 * DAY).all()
    assert (log.targets_at(asked.positive) >= 0).all()
    if positive_codes:
        assert (log.codes_at(asked.positive)[:, 0] == 2).all()
    gaps = log.times[asked.positive] - log.times[asked.place]
    if options:
        assert (gaps > 0).all() and (gaps <= 9 * DAY).all()
    else:
        assert (asked.positive == asked.place + 1).all()
    if not SEQUENCE_OBJECTIVES.find(name).many:
        assert (asked.place == source.windows.ends[asked.window] - 1).all()
        assert len(np.unique(entity)) == len(entity)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_what_is_asked_follows_from_the_action_and_not_from_the_batch(name, options):
    log = random_log()
    source = source_of(log, known_until(log, 30), objective_of(name, options))
    rows = np.arange(len(source.lengths))
    whole = source.ask(rows, 1)
    pairs = dict(zip(whole.place.tolist(), whole.positive.tolist(), strict=True))
    apart = [source.ask(rows[i : i + 1], 1) for i in rows[::-1]]
    assert {p: q for part in apart for p, q in zip(part.place.tolist(), part.positive.tolist(), strict=True)} == pairs
    if name == "dense_all_action":
        assert np.bincount(whole.window).max() <= 3
        other = source.ask(rows, 2)
        assert dict(zip(other.place.tolist(), other.positive.tolist(), strict=True)) != pairs


def test_any_action_of_the_days_after_is_as_likely():
    log = random_log(entities=1, most=29)
    known = known_until(log, 40, length=40)
    source = source_of(log, known, objective_of("dense_all_action", {"days": 12, "positions": 40}))
    drawn: dict[int, list[int]] = {}
    for epoch in range(600):
        asked = source.ask(np.array([0]), epoch)
        for place, positive in zip(asked.place.tolist(), asked.positive.tolist(), strict=True):
            drawn.setdefault(place, []).append(positive)
    place = max(drawn, key=lambda p: len(set(drawn[p])))
    later = np.arange(place + 1, log.indptr[1])
    gap = log.times[later] - log.times[place]
    allowed = later[(gap > 0) & (gap <= 12 * DAY) & (log.targets_at(later) >= 0)]
    counts = np.array([drawn[place].count(action) for action in allowed])
    expected = len(drawn[place]) / len(allowed)
    assert counts.sum() == len(drawn[place]) and len(allowed) > 3
    # Chi-squared with as many degrees of freedom; six deviations.
    assert ((counts - expected) ** 2 / expected).sum() < len(allowed) + 6 * np.sqrt(2 * len(allowed))


def test_actions_without_times_are_counted():
    log = random_log(timed=False)
    known = known_until(log, 0)
    assert (known.limits == log.indptr[1:]).all()
    for name in ("all_action", "dense_all_action"):
        source = source_of(log, known, objective_of(name, {"actions": 2}))
        asked = source.ask(np.arange(len(source.lengths)), 0)
        assert set((asked.positive - asked.place).tolist()) == {1, 2}
    unbounded = source_of(log, known, objective_of("dense_all_action", {}))
    with pytest.raises(ConfigError, match="set actions of"):
        unbounded.ask(np.arange(2), 0)


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_batches_hold_every_sequence_once_and_are_as_many_in_every_epoch(batch_size):
    log = random_log(entities=60)
    source = source_of(log, known_until(log, 40), objective_of("sasrec", {}), batch_size)
    epochs = [source.batches(epoch) for epoch in range(3)]
    for batches in epochs:
        assert len(batches) == len(epochs[0]) and all(len(batch) for batch in batches)
        assert np.sort(np.concatenate(batches)).tolist() == list(range(len(source.lengths)))
    assert any(a.tolist() != b.tolist() for a, b in zip(*epochs[:2], strict=True))
    assert all(a.tolist() == b.tolist() for a, b in zip(source.batches(1), epochs[1], strict=True))
    if batch_size == 3:
        # Filled up to the longest of its batch, a sequence is hardly longer.
        filled = sum(len(batch) * source.lengths[batch].max() for batch in epochs[0])
        assert filled < 1.25 * source.lengths.sum()
        actions = [source.lengths[batch].sum() for batch in epochs[0]]
        assert max(actions) < 2 * np.mean(actions)


def test_nothing_to_train_on_is_said():
    log = random_log()
    for name, options in CASES:
        source = source_of(log, known_until(log, -1), objective_of(name, options))
        with pytest.raises(DataError, match="no entity has actions to train on"):
            source.check_sequences()


def test_a_window_is_at_most_so_long_and_windows_cover_what_trains():
    log = random_log()
    known = known_until(log, 30)
    source = source_of(log, known, objective_of("sasrec", {}))
    assert source.lengths.max() == 8 and source.lengths.min() >= 1
    counts = np.maximum(known.limits - log.indptr[:-1] - 1, 0)
    for entity in range(log.entities):
        assert source.lengths[source.windows.entities == entity].sum() == counts[entity]

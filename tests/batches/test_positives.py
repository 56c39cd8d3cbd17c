"""One target of each example: one of its own, all of them over time, and a function of the key."""

import numpy as np
from scipy import stats

from gnnscale.batches import Examples
from gnnscale.batches.examples.positives import draw_positives

COUNTS = np.array([1, 3, 0, 2, 6])
INDPTR = np.concatenate([[0], np.cumsum(COUNTS)])
EXAMPLES = Examples(np.arange(5), np.zeros(5, np.int32), INDPTR, np.arange(INDPTR[-1]) + 100)


def test_positives_are_the_examples_own_and_do_not_depend_on_the_batch():
    rows = np.array([4, 0, 3, 1])
    found = draw_positives(EXAMPLES, rows, 1, 2)
    assert (found - 100 >= INDPTR[rows]).all() and (found - 100 < INDPTR[rows + 1]).all()
    assert found[1:3].tolist() == draw_positives(EXAMPLES, rows[1:3], 1, 2).tolist()


def test_over_epochs_every_target_is_as_likely():
    drawn = [int(draw_positives(EXAMPLES, np.array([4]), 0, epoch)[0]) - 106 for epoch in range(600)]
    assert stats.chisquare(np.bincount(drawn, minlength=6)).pvalue > 1e-3

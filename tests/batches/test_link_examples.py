"""Examples are the rows of the labels, in order of (anchor, entity)."""

import numpy as np
import pytest

from gnnscale.batches import Examples, read_examples
from gnnscale.query.anchors import Split


def rows_of(examples: Examples) -> list[tuple]:
    bounds = zip(examples.indptr, examples.indptr[1:], strict=False)
    targets = [tuple(examples.targets[low:high].tolist()) for low, high in bounds]
    return list(zip(examples.anchors.tolist(), examples.entities.tolist(), targets, strict=True))


@pytest.mark.parametrize("split", Split)
def test_examples_equal_the_labels_of_their_split(shop, split):
    examples = read_examples(shop.lake, "next_week", split, shop.manifest.origin)
    labels = shop.lake.read("labels_next_week").to_pandas()
    labels = labels[labels["split"] == str(split)]
    expected = [(r.anchor_time - shop.manifest.origin, r.entity, tuple(r.targets)) for r in labels.itertuples()]
    assert rows_of(examples) == sorted(expected)
    assert len(examples) == shop.label_counts[str(split)] > 0
    assert examples.anchors.dtype == np.int32 and examples.entities.dtype == examples.targets.dtype == np.int64


def test_a_split_without_rows_has_no_examples(shop, tmp_path):
    from gnnscale.lake import Lake

    lake = Lake(tmp_path)
    lake.write("labels_q", shop.lake.read("labels_next_week").slice(0, 0))
    examples = read_examples(lake, "q", Split.TRAIN, 0)
    assert len(examples) == 0 and examples.indptr.tolist() == [0] and examples.targets.size == 0


def test_taking_rows_takes_their_targets(shop):
    examples = read_examples(shop.lake, "next_week", Split.TRAIN, shop.manifest.origin)
    rows = np.random.default_rng(0).permutation(len(examples))[:20]
    expected = rows_of(examples)
    assert rows_of(examples.take(rows)) == [expected[row] for row in rows]
    assert rows_of(examples.take(np.array([3, 3]))) == [expected[3]] * 2
    assert len(examples.take(np.zeros(0, np.int64))) == 0


def test_unlabelled_examples_have_no_targets():
    examples = Examples.unlabelled(np.array([4, 2]), 99)
    assert rows_of(examples) == [(99, 4, ()), (99, 2, ())]

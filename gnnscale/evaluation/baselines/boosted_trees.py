"""The baseline that learns: gradient-boosted trees on point-in-time features."""

from __future__ import annotations

from typing import Final

from gnnscale.config import TreesSettings
from gnnscale.evaluation.baselines.baseline import NodeBaseline
from gnnscale.query import TaskSpec
from gnnscale.schema import BASELINES
from gnnscale.training import BoostedTrees

OPTIONS: Final = TreesSettings(rounds=300, patience=25, learning_rate=0.08)
"""A baseline should not cost what a model does: fewer and larger steps."""

ROWS: Final = 100_000
"""Most examples, or pairs of example and class, that trees learn from."""


def _boosted_trees(task: TaskSpec, classes: int, seed: int) -> BoostedTrees:
    return BoostedTrees(task, classes, seed, OPTIONS, ROWS)


BASELINES.register("boosted_trees")(
    NodeBaseline(
        "boosted_trees",
        "Boosted trees",
        "Gradient-boosted trees (LightGBM) on counts, sums, rates, gaps and trends of events up to the anchor, the "
        "entity's columns and its own past, stopped by the validation examples.",
        make=_boosted_trees,
        # For several classes at once, trees learn from pairs of example and class.
        needs_pairs=("classes",),
    )
)

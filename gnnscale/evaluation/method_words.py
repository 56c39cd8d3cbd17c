"""Methods, parts of the truth and metrics as people read them: on pages and on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gnnscale.evaluation.baselines.baseline import find_baselines
from gnnscale.evaluation.blend.grown_trees import TREES
from gnnscale.evaluation.comparison import BLEND, MODEL, NETWORK, TOWER, Part
from gnnscale.evaluation.report.page import figure, metric
from gnnscale.query import TaskSpec

OWN_METHODS: Final = {
    MODEL: ("Model", "The answer: what was trained and baselines, by the weights of the blend."),
    NETWORK: (
        "Network alone",
        "What was trained, a graph neural network or trees (model.network), alone.",
    ),
    BLEND: ("Blend", "Network and baselines together; the model's answer is the network alone, as model.blend=off."),
    TREES: (
        "Boosted trees",
        "Gradient-boosted trees (LightGBM) that rank what the entity had, and some of what is popular, by counts, "
        "rates, gaps and trends of entity and target up to the anchor.",
    ),
    TOWER: ("Two-tower only", "The model's embeddings alone, without what it knows of entity and target together."),
}
"""What is of the model itself: name to title and what it does."""

PART_TITLES: Final[dict[Part, tuple[str, str]]] = {
    "all": ("All", "everything that came true"),
    "repeat": ("Repeat", "only what the entity had before the anchor"),
    "explore": ("Explore", "only what is new to the entity"),
    "warm": ("Warm", "of entities that had events before the anchor"),
    "cold": ("Cold", "of entities that had none"),
}


def find_titles(task: TaskSpec) -> dict[str, tuple[str, str]]:
    """Name of each method that a task is known for -> its title and what it does."""
    return {**OWN_METHODS, **{b.name: (b.title, b.meaning) for b in find_baselines(task)}}


def method_title(name: str, task: TaskSpec) -> str:
    """How a method is called on pages."""
    titles = find_titles(task)
    return titles[name][0] if name in titles else name.replace("_", " ").capitalize()


def number_format(task: TaskSpec) -> Callable[[float], str]:
    """How the metrics of a task are written: errors in the unit of the target, all else as shares."""
    return figure if task.predicts_values else metric

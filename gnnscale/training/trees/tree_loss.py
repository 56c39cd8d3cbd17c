"""The losses that trees can be grown by, and LightGBM's names of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gnnscale.query import TaskSpec
from gnnscale.schema import ConfigError

VALUE_LOSSES: Final = ("l1", "l2")
"""Losses that values are fitted to where none is named: what has the smaller error on the validation examples stays."""

OBJECTIVES: Final = {
    "truth": {"bce": "binary"},
    "classes": {"bce": "binary"},
    "class": {"cross_entropy": "multiclass"},
    "value": {"l1": "l1", "l2": "l2", "huber": "huber", "quantile": "quantile"},
}
"""Answer -> loss -> LightGBM's objective; values of frames are fitted as values are."""


@dataclass(frozen=True)
class TreeLoss:
    """The loss that trees are grown by.

    Args:
        name: as of ``training.loss``; ``auto`` for the task's own.
        level: of quantiles.
    """

    name: str = "auto"
    level: float = 0.5

    def objectives(self, task: TaskSpec) -> list[dict[str, Any]]:
        """LightGBM's objectives for a task; of several, the best is kept.

        Raises:
            ConfigError: trees have none for it.
        """
        known = OBJECTIVES["value" if task.predicts_values else task.answer]
        names = (VALUE_LOSSES if task.predicts_values else tuple(known)) if self.name == "auto" else (self.name,)
        for name in names:
            if name not in known:
                allowed = ", ".join(("auto", *known))
                raise ConfigError(f"training.loss={name} is not for trees of {task}; allowed: {allowed}")
        return [{"objective": known[name], **({"alpha": self.level} if name == "quantile" else {})} for name in names]

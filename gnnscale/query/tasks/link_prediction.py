"""Rows of another table, ranked for each entity: those that its events will name, or those that its events lack."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gnnscale.query.bound import Aggregate
from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.schema import TASKS


def _has_window(question: Question) -> bool:
    return isinstance(question.target, Aggregate) and question.target.window is not None


def _is_timed(question: Question) -> bool:
    return question.names_rows and (_has_window(question) or question.function != "LIST_DISTINCT")


def _is_untimed(question: Question) -> bool:
    return question.names_rows and not _is_timed(question)


TEMPORAL_LINK_PREDICTION: Final = TASKS.register("temporal link prediction")(
    TaskSpec(
        name="temporal link prediction",
        answer="links",
        fits=_is_timed,
        label="links",
        losses=("pair", "sampled_softmax"),
        head="identity",
        metrics=("map@10", "recall@10", "recall@20", "ndcg@10", "coverage@10", "hit_rate@10", "mrr@10"),
        validation=("map@10", "recall@10", "recall@20", "ndcg@10"),
        baselines=(
            "popularity",
            "personal_frequency",
            "recency_weighted_frequency",
            "item_knn",
            "ease",
            "graph_filter",
        ),
        reference=None,
    )
)

STATIC_LINK_PREDICTION: Final = TASKS.register("static link prediction")(
    replace(TEMPORAL_LINK_PREDICTION, name="static link prediction", fits=_is_untimed)
)

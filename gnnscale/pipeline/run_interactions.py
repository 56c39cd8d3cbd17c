"""A recipe of interactions from its source to predictions: methods are compared, and the best one's lists written."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse

from gnnscale.collaborative import (
    InteractionLog,
    InteractionSplit,
    TunedMethod,
    answer_of,
    compare_methods,
    exploration_cost,
    explored,
    item_sets,
    make_recommender,
    rank_items,
    read_interactions,
    split_interactions,
)
from gnnscale.config import InteractionSettings
from gnnscale.lake import Lake
from gnnscale.metrics import find_list_metric
from gnnscale.pipeline.room import check_room
from gnnscale.tracking import start_named_run

log = logging.getLogger(__name__)

COMPARISON = "evaluation_{name}"

NEWCOMERS = "newcomers_{name}"
"""Table of the list for users without events."""


@dataclass(frozen=True)
class InteractionResult:
    """What a run found.

    Args:
        methods: in the order of their figures, the best first.
        answer: the one that the predictions are of.
        record: what the lake keeps of it.
    """

    methods: list[TunedMethod]
    answer: TunedMethod
    record: dict[str, Any]


def run_interactions(settings: InteractionSettings) -> InteractionResult:
    """Compare the methods, and write ``predictions_<name>``: user, item, rank and score.

    Raises:
        GnnscaleError: the source or the settings are at fault.
    """
    started = time.monotonic()
    for name in settings.metrics:
        find_list_metric(name)
    for implementation in settings.methods:
        make_recommender(implementation)
    lake = Lake(settings.lake.uri, settings.lake.storage_options)
    check_room(lake)
    table = read_interactions(settings)
    split = split_interactions(table, settings)
    users, items = split.whole.shape
    log.info(
        "%s users, %s items, %s interactions, split: %s", f"{users:,}", f"{items:,}", f"{len(table):,}", split.rule
    )
    if settings.split == "auto" and split.rule == "random":
        log.warning("no column of times is known, so that what is held out is drawn; columns.time=NAME splits by time")
    title = f"{settings.recipe}/{settings.name}/seed {settings.seed}"
    with start_named_run(settings.tracking, lake, title, settings.name) as run:
        run.log_parameters(settings.model_dump(mode="json"))
        methods: list[TunedMethod] = []
        for method in compare_methods(split.validation, split.test, settings):
            methods.append(method)
            run.log_metrics({f"{method.name}/{metric}": method.mean(metric) for metric in settings.metrics})
        headline = settings.metrics[0]
        answer = answer_of(methods, headline)
        run.set_tags({"answer": answer.name})
        cost = exploration_cost(answer, split.test, settings) if settings.exploration else None
        write_predictions(settings, lake, table, split, answer)
        write_newcomers(settings, lake, table, split)
    methods.sort(key=lambda method: -method.mean(headline))
    record = comparison_record(settings, split, table, methods, answer, time.monotonic() - started)
    if cost is not None:
        record["exploration"] = cost
    lake.write_record(COMPARISON.format(name=settings.name), record)
    return InteractionResult(methods, answer, record)


def write_predictions(
    settings: InteractionSettings, lake: Lake, table: InteractionLog, split: InteractionSplit, answer: TunedMethod
) -> None:
    """Fit the answer to everything, and write the lists of all users; what was drawn at random has no score."""
    model = make_recommender(answer.implementation, settings.seed).fit(split.whole)
    users = np.flatnonzero(np.diff(split.whole.indptr))
    ranked, scores = rank_items(model, users, split.had, settings.top)
    drawn = np.zeros(ranked.shape, np.bool_)
    if settings.exploration:
        listed = explored(
            ranked, item_sets(split.had[users]), settings.exploration, split.whole.shape[1], settings.seed
        )
        drawn, ranked = listed != ranked, listed
        scores[drawn] = np.nan
    row, place = np.nonzero(ranked >= 0)
    if without := len(users) - len(np.unique(row)):
        log.warning("%s of %s users have had all items there are, and have no list", f"{without:,}", f"{len(users):,}")
    rows = {
        "user": table.user_keys.take(pa.array(users[row])),
        "item": table.item_keys.take(pa.array(ranked[row, place])),
        "rank": pa.array(place + 1, pa.int32()),
        "score": pa.array(scores[row, place], mask=drawn[row, place]),
        "explored": pa.array(drawn[row, place]),
    }
    lake.write(f"predictions_{settings.name}", pa.table(rows), metadata={"method": answer.name})


def write_newcomers(settings: InteractionSettings, lake: Lake, table: InteractionLog, split: InteractionSplit) -> None:
    """Write ``newcomers_<name>``, the list of whoever has no events yet: what most users have had.

    Columns are item, rank, score (users who had it; null where it was drawn) and explored.
    """
    users_of = np.bincount(split.had.indices, minlength=split.had.shape[1])
    ranked = np.argsort(-users_of, kind="stable")[None, : min(settings.top, int((users_of > 0).sum()))]
    listed = ranked
    if settings.exploration:
        nothing = item_sets(scipy.sparse.csr_matrix((1, split.had.shape[1]), dtype=np.float32))
        listed = explored(ranked, nothing, settings.exploration, split.had.shape[1], settings.seed)
    drawn = (listed != ranked)[0]
    rows = {
        "item": table.item_keys.take(pa.array(listed[0])),
        "rank": pa.array(np.arange(1, len(drawn) + 1), pa.int32()),
        "score": pa.array(users_of[listed[0]].astype(np.float32), mask=drawn),
        "explored": pa.array(drawn),
    }
    lake.write(NEWCOMERS.format(name=settings.name), pa.table(rows), metadata={"method": "popularity"})


def comparison_record(
    settings: InteractionSettings,
    split: InteractionSplit,
    table: InteractionLog,
    methods: list[TunedMethod],
    answer: TunedMethod,
    seconds: float,
) -> dict[str, Any]:
    """What the lake keeps: the figures of each method, and the answer."""
    users, items = split.whole.shape
    rows = [
        {
            "method": method.name,
            "options": method.options,
            "weight": round(method.weight, 4),
            "seconds": round(method.seconds, 2),
            "validation": method.validation,
            "test": {name: float(np.mean(values)) for name, values in method.test.items()},
            "deviation": {name: float(np.std(values)) for name, values in method.test.items()},
        }
        for method in methods
    ]
    return {
        "users": users,
        "items": items,
        "interactions": len(table),
        "split": split.rule,
        "evaluated": int((np.diff(split.test.truth.indptr) > 0).sum()),
        "held_out": int(split.test.truth.nnz),
        "seeds": settings.seeds,
        "metrics": list(settings.metrics),
        "answer": answer.name,
        "seconds": round(seconds, 1),
        "rows": rows,
    }

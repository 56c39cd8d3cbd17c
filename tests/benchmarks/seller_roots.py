"""What the rules for root edges and fan-outs of the recipe ``seller_products`` save and cost, network against network.

Both variants train the same network on the same labels, four layers deep: with the recipe's rules, and with every pair
as a root and more edges around each node. CPU seconds of an epoch are those of some batches times their number;
Recall@100 is that of what is new to each seller after the test anchor, with baselines beside it. The short form makes a
small shop; ``--full`` takes the lake of a run of the recipe (``--lake``).
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

from gnnscale.batches import EntityEvents, Examples, read_examples
from gnnscale.config import Settings, load_settings
from gnnscale.lake import Lake
from gnnscale.metrics import evaluate_lists
from gnnscale.pipeline import open_graph
from gnnscale.query import PredictiveQuery, Split
from gnnscale.retrieval import read_history
from gnnscale.schema import BASELINES
from gnnscale.store import GraphStore
from gnnscale.training import DistributedContext, Task, Trainer, build_task, find_network
from gnnscale.training.objectives.ranking import rank_targets
from tests.benchmarks.measure import arguments, finish, measured, surroundings

METRIC = "recall@100"
SHORT = (
    *("anchors.test=2018-04-20", "anchors.train=3", "anchors.latest=2018-07-26", "anchors.step_days=60"),
    *("graph.fit_until=2018-01-20", "training.negatives=64", "training.epochs=1", "training.batch_size=64"),
)


def hops(first: int, others: int) -> str:
    """Four layers: so many edges around a seller, and so many of each type around every node beyond."""
    beyond = f"{{sellers.offers: {others}, products.bought_with: {others}}}"
    return f"sampling.entity_hops=[{{sellers.offers: {first}}},{beyond},{beyond},{beyond}]"


def main() -> None:
    """Run, print, and with ``--json`` one line more."""
    options = arguments(__doc__ or "", _more)
    folder = Path(tempfile.mkdtemp(prefix="roots-"))
    overrides = [f"lake.uri={options.lake}", *options.set] if options.full else _small_lake(folder)
    torch.set_num_threads(1)
    without = [hops(options.first, options.without), "sampling.roots.demand=null", "sampling.roots.top=null"]
    without += [f"training.epochs={options.epochs}"] if options.epochs else []
    variants = {"rules": [hops(options.first, 3)], "without": without}
    rows: list[dict[str, Any]] = []
    with measured() as whole:
        beside = baselines(load_settings("seller_products", overrides)) if options.baselines else {}
        for name in options.variants.split(","):
            words = [*overrides, *variants[name]]
            for seed in range(options.seeds):
                rows.append({"variant": name, "seed": seed, **ask([*words, f"seed={seed}"], options.batches)})
                print(json.dumps(rows[-1]), flush=True)
    result = {**surroundings(("torch", "numba")), "peak_gb": round(whole.peak_gb, 2), "rows": rows, "baselines": beside}
    finish(options, result)


def ask(words: Sequence[str], batches: int) -> dict[str, Any]:
    """Train a variant: roots, CPU seconds of an epoch, and Recall@100 on the validation and on the test examples."""
    settings = load_settings("seller_products", [*words, "training.prefetch=0", "training.workers=1"])
    lake = Lake(settings.lake.uri)
    store, query = open_graph(settings, lake)
    task = build_task(settings, lake, store, query)
    found: dict[str, Any] = {"roots": sum(map(len, task.batches(0)))}
    found["epoch_cpu_seconds"] = round(epoch_seconds(task, batches), 2)
    if settings.training.epochs and batches >= 0:
        trainer = Trainer(settings, build_task(settings, lake, store, query))
        started = time.process_time()
        outcome = trainer.run()
        found["training_cpu_seconds"] = round(time.process_time() - started, 1)
        trainer.model.load_state_dict(outcome.weights)
        found["validation"] = round(max(figures[METRIC] for figures in outcome.history), 4)
        found["test"] = round(recall_of(settings, lake, store, query, trainer.model.eval()), 4)
    return found


def epoch_seconds(task: Task[Any], batches: int) -> float:
    """CPU seconds of an epoch's steps, from those of some of them, the first one left out."""
    optimizer = torch.optim.AdamW(task.model.parameters(), 1e-3)
    every = task.batches(0)
    spent = []
    for step, rows in enumerate(every[: 1 + max(1, batches)]):
        started = time.process_time()
        batch = task.objective.prepare(task.source, rows, 0, step, rows)
        loss = task.objective.loss(task.model(*batch.sample.inputs()), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent.append(time.process_time() - started)
    return float(np.mean(spent[1:] or spent)) * len(every)


def recall_of(settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, model: Any) -> float:
    """Of lists of what is new to each entity after the test anchor."""
    examples = asked_examples(settings, lake, store)
    network = find_network(settings, query)(settings, store, query)
    predictor = network.predictor(model, network.links_anywhere(), torch.device("cpu"))
    events, anchor = EntityEvents.read(store, query), int(examples.anchors[0])
    ranked, own = rank_targets(
        predictor,
        lambda rows: predictor.entity_batch(examples.entities[rows], anchor),
        examples.anchors,
        np.arange(len(examples)),
        store.node_count(query.target.name),
        100,
        DistributedContext(),
        lambda rows: events.past(examples.entities[rows], examples.anchors[rows].astype(np.int64)),
    )
    truth = examples.take(own).truth
    return float(evaluate_lists([METRIC], ranked, truth, store.node_count(query.target.name)).means[METRIC])


def asked_examples(settings: Settings, lake: Lake, store: GraphStore) -> Examples:
    """Those of the test anchor that have a target."""
    examples = read_examples(lake, settings.query.name, Split.TEST, store.manifest.origin)
    return examples.take(np.flatnonzero(np.diff(examples.indptr) > 0))


def baselines(settings: Settings) -> dict[str, float]:
    """Recall@100 of the recipe's baselines on the same examples; matrix factorization by three seeds."""
    lake = Lake(settings.lake.uri)
    store, query = open_graph(settings, lake)
    examples = asked_examples(settings, lake, store)
    found: dict[str, float] = {}
    for name in settings.evaluation.baselines:
        for seed in range(3) if name == "matrix_factorization" else (0,):
            history = read_history(store, query, int(examples.anchors[0]) + store.manifest.origin)
            own = settings.model_copy(update={"seed": seed})
            ranked, _ = BASELINES.find(name).scored_lists(own, history, examples.entities, 100, "explore")
            mean = evaluate_lists([METRIC], ranked, examples.truth, history.n_items).means[METRIC]
            found[f"{name} seed {seed}" if seed else name] = round(float(mean), 4)
            print(json.dumps(found), flush=True)
    return found


def _small_lake(folder: Path) -> list[str]:
    from gnnscale.cli.main import main as gnnscale
    from tests.seller_shop import write_seller_shop

    _, sources = write_seller_shop(folder)
    overrides = [f"lake.uri={folder / 'lake'}", *sources, *SHORT]
    for stage in ("graph", "labels"):
        assert gnnscale([stage, "seller_products", *overrides]) == 0
    return overrides


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lake", help="of a run of the recipe, for --full")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of the configuration")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ...")
    parser.add_argument("--variants", default="rules,without", help="names, with a comma between them")
    parser.add_argument("--first", type=int, default=5, help="edges around a seller")
    parser.add_argument("--without", type=int, default=6, help="edges of a type around a node, without rules")
    parser.add_argument("--epochs", type=int, help="epochs without rules; default: those of the recipe")
    parser.add_argument("--batches", type=int, default=8, help="batches that an epoch is timed by; -1: no training")
    parser.add_argument("--baselines", action="store_true", help="whether baselines are beside them")


if __name__ == "__main__":
    main()

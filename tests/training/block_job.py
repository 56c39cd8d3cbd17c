"""Training on blocks as one of several processes, without Ray; run by ``test_block_workers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.batches import AnswerShape, BlockSource
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.config import Settings, build_settings
from gnnscale.query import REGRESSION
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import GraphManifest
from gnnscale.store import GraphStore
from gnnscale.training import DistributedContext, Task, Trainer
from gnnscale.training.networks.blocks import build_block_network
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.objectives.node_objective import NodeObjective
from gnnscale.training.task_builder import choose_node_loss
from tests.gpu.graphs import DAY, shop_store

EXAMPLES = 61


def settings_of(folder: str, **training: Any) -> Settings:
    """A recipe of which the sections ``model`` and ``training`` count."""
    return build_settings(
        {
            "recipe": "blocks",
            "lake": {"uri": folder},
            "tables": {},
            "query": {"name": "asked", "text": ""},
            "model": {"hidden": 8},
            # The last batches are of fewer examples than there are parts and workers.
            "training": {"epochs": 2, "batch_size": 7, "micro_batches": 3, "learning_rate": 1e-2, "prefetch": 1}
            | training,
        }
    )


def block_task(
    settings: Settings,
    source: BlockSource,
    shape: AnswerShape,
    values: NDArray[np.float32],
    validation: NDArray[np.int64],
    context: DistributedContext | None = None,
) -> Task[BlockSource]:
    """Labels of a source's examples, learned by a network on its blocks."""
    trained = np.sort(np.concatenate(source.batches(0)))
    loss = choose_node_loss(settings, shape.task)
    objective = NodeObjective(NodeKnowledge.fit(shape, values[trained]), loss, values, validation)
    torch.manual_seed(settings.seed)
    return Task(source, build_block_network(settings, source, shape.scores), objective, context)


def train(folder: str, context: DistributedContext, **training: Any) -> dict[str, Any]:
    """Losses, examples seen, metrics and weights of a training on the shop that ``folder`` holds."""
    torch.set_num_threads(1)
    manifest: GraphManifest = torch.load(Path(folder) / "manifest.pt", weights_only=False)
    store, rng = GraphStore(manifest, Path(folder)), np.random.default_rng(0)
    sampler = NeighborSampler(store, [3, 2], "uniform", table="customers")
    features = {t.name: np.asarray(store.features(t.name).numerical) for t in manifest.tables}
    seeds, anchors = rng.integers(0, 40, EXAMPLES), rng.integers(20, 60, EXAMPLES).astype(np.int32) * DAY
    values = features["customers"][seeds, :1] + rng.normal(size=(EXAMPLES, 1)).astype(np.float32)
    codes = {"products": CategoryCodes(rng.integers(0, 4, (30, 2)).astype(np.int32), (3, 3))}
    loader = BlockLoader(sampler, features, seeds, anchors, 7, seed=2, chosen=np.arange(50), codes=codes)
    settings = settings_of(folder, **training)
    labels = values.astype(np.float32), np.arange(50, EXAMPLES)
    task = block_task(settings, loader, AnswerShape(REGRESSION), *labels, context)
    outcome = Trainer(settings, task, context).run()
    metrics = [{name: figures[name] for name in ("mae", "rmse")} for figures in outcome.history]
    return {"losses": outcome.losses, "seen": outcome.seen, "metrics": metrics, "weights": outcome.weights}


def write_shop(folder: Path) -> None:
    """The arrays, and the manifest that the processes need beside."""
    torch.save(shop_store(folder).manifest, folder / "manifest.pt")


def main(rank: int, workers: int, folder: str) -> None:
    """Train as one process of a group; rank 0 leaves what came of it."""
    found = train(folder, DistributedContext(rank, workers))
    if rank == 0:
        torch.save(found, Path(folder) / f"{workers}.pt")

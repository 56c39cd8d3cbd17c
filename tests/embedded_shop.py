"""The shop with a model that nobody trained: its vectors are as good as any for what batch inference has to keep."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from gnnscale.batches import BatchBuilder
from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.inference import embed
from gnnscale.lake import Lake
from gnnscale.nn import build_model
from gnnscale.query.anchors import AnchorPlan
from gnnscale.retrieval import build_query_indexes
from gnnscale.retrieval.retrieve_stage import retrieve
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, TrainResult, build_task, save_model
from tests.conftest import Shop

TABLES = ("embeddings_products", "embeddings_customers", "pairs_next_week")


def copy_shop(shop: Shop, folder: Path, **embedding: Any) -> tuple[Settings, Lake]:
    """A lake of its own with the shop's graph and a model, and settings whose section ``embedding`` is given."""
    shutil.copytree(shop.lake.uri, folder / "lake")
    content = {**shop.content, "lake": {"uri": str(folder / "lake")}, "embedding": {"batch_size": 8, **embedding}}
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    put_model(settings, lake)
    return settings, lake


def fill_predictions(shop: Shop, settings: Settings, lake: Lake) -> None:
    """Let the model of :func:`copy_shop` answer for everybody."""
    store = GraphStore.open(lake)
    query = bind_query(settings, store.manifest)
    embed(settings, lake, store, anchors_of(shop.plan))
    build_query_indexes(settings, lake, query, anchors_of(shop.plan))
    retrieve(settings, lake, query, shop.plan, store)


def put_model(settings: Settings, lake: Lake, seed: int = 0) -> None:
    """Save a network of random weights as the query's model."""
    store = GraphStore.open(lake)
    query = bind_query(settings, store.manifest)
    builder = BatchBuilder(store, query, settings.sampling, settings.model.group_columns, settings.seed)
    torch.manual_seed(seed)
    weights = build_model(settings, query, store.manifest, builder.context_tables).state_dict()
    save_model(lake, settings.query.name, TrainResult(weights, {}, [], [], "map@10"))


def train_towers(
    shop: Shop, folder: Path, sampling: Any = None, embedding: Any = None, **model: Any
) -> tuple[Settings, Lake, Trainer]:
    """A lake of its own with the shop's graph, labels, and a network on blocks that was trained for an epoch."""
    shutil.copytree(shop.lake.uri, folder / "lake")
    content = dict(shop.content)
    content["lake"] = {"uri": str(folder / "lake")}
    content["embedding"] = {"batch_size": 8, "partition_rows": 16} | (embedding or {})
    content["model"] = content["model"] | {"network": "blocks"} | model
    content["training"] = content["training"] | {"epochs": 1, "learning_rate": 1e-2}
    content["sampling"] = sampling or content["sampling"]
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    store = GraphStore.open(lake)
    trainer = Trainer(settings, build_task(settings, lake, store, shop.query))
    outcome = trainer.run()
    save_model(lake, settings.query.name, outcome)
    trainer.model.load_state_dict(outcome.weights)
    return settings, lake, trainer


def anchors_of(plan: AnchorPlan) -> list[int]:
    return [plan.test, plan.latest]


def tables_of(lake: Lake) -> dict[str, pa.Table]:
    """The tables of a run, rows in order of anchor and node."""
    found = {}
    for name in TABLES:
        rows = lake.read(name)
        key = "entity" if name.startswith("pairs") else "node_id"
        found[name] = rows.sort_by([("anchor_time", "ascending"), (key, "ascending")]).combine_chunks()
    return found


def sweep_files(lake: Lake) -> dict[str, tuple[int, int]]:
    """Files of any run in the tables' folders -> inode and time of writing."""
    return {
        f"{table}/{path.name}": (path.stat().st_ino, path.stat().st_mtime_ns)
        for table in TABLES
        for path in (Path(lake.uri) / table).glob("sweep-*.parquet")
    }

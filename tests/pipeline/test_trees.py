"""Trees through the stages that a network goes through, in this process alone: trained, blended, judged, and asked."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from rich.console import Console

from gnnscale.config import bind_query, build_settings
from gnnscale.interface import Model, load_model
from gnnscale.lake import Lake, write_stage
from gnnscale.pipeline import Pipeline, PipelineContext
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.query import REGRESSION
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.entity_shop import QUERIES, write_labels

TREES = {"network": "trees", "trees": {"rounds": 40, "min_rows": 5, "learning_rate": 0.2, "seeds": 1}}


def begin_run(shop: Shop, folder: Path, **content: Any) -> PipelineContext:
    """A run whose graph and labels are there: in a copy of the shop's lake, which was built without stages."""
    home = folder / "lake"
    if not home.exists():
        shutil.copytree(shop.lake.uri, home)
    changed = {"lake": {"uri": str(home)}, "model": TREES, "evaluation": {"resamples": 50}}
    settings = build_settings({**shop.content, **changed, **content})
    work = PipelineContext(settings, Console(quiet=True))
    for stage in (GraphStage(work), LabelStage(work)):
        before = stage.upstream(stage.after) if stage.after else ""
        write_stage(work.lake, stage.record_name, stage.digest(), time.monotonic(), "", stage.outputs(), before)
    return work


def run_stages(shop: Shop, folder: Path, stages: list[str], **content: Any) -> tuple[Model, Lake]:
    """The model that stages after the labels make."""
    work = begin_run(shop, folder, **content)
    Pipeline(work, work.query).run(stages)
    assert not ray.is_initialized()
    return load_model(work.lake.uri, work.settings.query.name), work.lake


def test_links(shop: Shop, tmp_path: Path) -> None:
    model, lake = run_stages(shop, tmp_path, ["train", "embed", "retrieve", "evaluate"])
    assert model.metrics["model"]["map@10"] > model.metrics["popularity"]["map@10"] / 2
    assert "network" in model.metrics
    answers = model.predict(["c001", "c005"], k=3)
    assert answers["entity"].tolist() == ["c001"] * 3 + ["c005"] * 3
    told = lake.read(f"predictions_{model.name}").to_pandas()
    told = told[told["entity"].isin(["c001", "c005"]) & (told["rank"] <= 3)].sort_values(["entity", "rank"])
    assert answers["target"].tolist() == told["target"].tolist()


def test_values(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    query = {"name": "asked", "text": QUERIES[REGRESSION]}
    shutil.copytree(shop.lake.uri, tmp_path / "lake")
    bound = bind_query(build_settings({**shop.content, "query": query}), store.manifest)
    write_labels(Lake(tmp_path / "lake"), shop.lake, store, bound)
    model, lake = run_stages(shop, tmp_path, ["train", "predict", "evaluate"], query=query)
    # The labels follow from what is a feature.
    assert model.metrics["network"]["mae"] < model.metrics["global_mean"]["mae"] / 2
    answers = model.predict()
    told = lake.read("predictions_asked").to_pandas()
    both = answers.merge(told, on="entity", suffixes=("", "_told"))
    assert len(both) == len(told) == len(answers)
    assert np.allclose(both["value"], both["value_told"])

"""Jobs that ``ray job submit`` hands to a Ray of two nodes: what they write is what one process alone writes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import ray
import yaml
from rich.console import Console

from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline import Pipeline, PipelineContext, RayJobs
from gnnscale.schema import GnnscaleError
from tests.cluster import ROOT
from tests.ray_cluster import ray_cluster
from tests.stage_records import record_stages

pytestmark = pytest.mark.slow

STAGES = ("train", "embed", "retrieve", "evaluate")


def predictions(lake: Lake) -> pd.DataFrame:
    return lake.read("predictions_next_week").to_pandas().sort_values(["entity", "rank"], ignore_index=True)


def test_two_nodes_train_embed_and_retrieve_as_one_process_does(
    busy_shop: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes = {}
    content = {key: value for key, value in busy_shop.items() if key != "recipe"}
    for name, workers in (("nodes", 2), ("alone", 1)):
        lakes[name] = tmp_path / name / "lake"
        shutil.copytree(busy_shop["lake"]["uri"], lakes[name])
        changed = {"epochs": 1, "workers": workers}
        own = {**content, "lake": {"uri": str(lakes[name])}, "training": {**content["training"], **changed}}
        (tmp_path / name / "shop.yaml").write_text(yaml.safe_dump(own))
        record_stages(build_settings({**own, "recipe": "shop"}))

    # A node has one core, and a worker takes one: the two are on different nodes.
    with ray_cluster(nodes=2) as cluster:
        said = cluster.submit([sys.executable, "jobs/train.py", str(tmp_path / "nodes" / "shop.yaml")], ROOT)
        assert "Traceback" not in said and "succeeded" in said
        # As an orchestrator submits them, from a process that may have had a Ray of its own, with another token.
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
        ray.shutdown()
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            monkeypatch.setenv(name, cluster.environment[name])
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        submit = RayJobs(cluster.address, sys.executable, {"env_vars": {"PYTHONPATH": str(ROOT)}})
        submit("run", str(tmp_path / "nodes" / "shop.yaml"), [], None)
        with pytest.raises(
            GnnscaleError, match=r"^train: unknown configuration key 'training.epoch'.* \(job raysubmit_"
        ):
            submit("train", str(tmp_path / "nodes" / "shop.yaml"), ["training.epoch=1"], "fast")
    settings = build_settings({**yaml.safe_load((tmp_path / "alone" / "shop.yaml").read_text()), "recipe": "shop"})
    with Pipeline(PipelineContext(settings, Console(quiet=True))) as pipeline:
        pipeline.run(STAGES)

    found, expected = (predictions(Lake(lakes[name])) for name in ("nodes", "alone"))
    assert len(expected) == 40 * 10 and found["entity"].equals(expected["entity"])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-3, atol=1e-3)
    # Scores that are level change places.
    assert (found["target"] == expected["target"]).mean() > 0.95

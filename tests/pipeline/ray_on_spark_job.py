"""A job for the tests: ``ray_on_spark_job.py RECIPE`` trains on a Ray that lives on the executors of this job."""

import json
import os
import sys

import ray
from rich.console import Console

from gnnscale.config import SparkSettings, load_settings
from gnnscale.etl import open_session
from gnnscale.pipeline import Pipeline, PipelineContext, prepare_environment, ray_on_spark

prepare_environment()
settings = load_settings(sys.argv[1])
session = open_session(SparkSettings(), "ray on spark")
with ray_on_spark(session) as address:
    assert os.environ["RAY_ADDRESS"] == address
    ray.init(log_to_driver=False)
    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    ray.shutdown()
    with Pipeline(PipelineContext(settings, Console(quiet=True))) as pipeline:
        pipeline.run(["train"])
# The session is this job's, and goes on: its executors are free again.
rows = session.range(7).count()
left = {"RAY_ADDRESS", "RAY_AUTH_TOKEN"} & os.environ.keys()
sys.stdout.write(json.dumps({"nodes": sorted(nodes), "rows": rows, "left": sorted(left)}) + "\n")

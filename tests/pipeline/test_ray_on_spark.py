"""Where a Ray can be on Spark's executors, and where that is refused; tests/pipeline/test_cluster has one."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from gnnscale.pipeline import ray_on_spark
from gnnscale.schema import GnnscaleError


def test_spark_on_this_machine_alone_needs_none(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with ray_on_spark(spark) as address:
        assert address is None and not {"RAY_ADDRESS", "RAY_AUTH_TOKEN"} & os.environ.keys()


def test_a_ray_that_is_there_is_not_doubled(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(GnnscaleError, match=r"^a Ray is there already"), ray_on_spark(spark):
        pass


@pytest.mark.parametrize(("session", "says"), [(None, "no Spark session"), (SimpleNamespace(), "Spark Connect")])
def test_without_executors_it_is_refused(session: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("gnnscale.etl.running_session", lambda: None)
    with pytest.raises(GnnscaleError, match=says), ray_on_spark(session):
        pass

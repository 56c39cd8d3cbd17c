"""Through Spark Connect, without a JVM in the process, a graph and its labels are those of a classic session."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest

from gnnscale.config import SparkSettings
from gnnscale.etl import open_session
from gnnscale.lake import Lake
from gnnscale.query import show_time
from gnnscale.schema import GnnscaleError
from tests.cluster import HOST, ROOT
from tests.connect_server import connect_server

pytestmark = pytest.mark.skipif(not find_spec("grpc"), reason="pyspark[connect] is not installed")


def test_tables_are_those_of_a_classic_session(shop, tmp_path):
    names = ["customers", "products", "purchases"]
    hops = {"entity_hops": [{"purchases.customer_id": 3}], "target_hops": [{"purchases.product_id": 3}]}
    content = {
        **shop.content,
        "lake": {"uri": str(tmp_path / "lake")},
        "tables": {name: shop.content["tables"][name] for name in names},
        "sampling": hops,
        # By default the period of the statistics follows from all tables.
        "graph": {"fit_until": show_time(shop.manifest.fit_until)},
        # Fan-outs of one hop are no network's of ours.
        "model": {},
        "spark": {"conf": shop.content["spark"]["conf"], "shuffle_partitions": 2},
    }
    del content["recipe"]
    recipe = tmp_path / "shop.yaml"
    recipe.write_text(json.dumps(content))
    script = [sys.executable, "tests/etl/connect_job.py", str(recipe)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAVA_HOME": "/nowhere"}
    with connect_server(tmp_path) as address:
        done = subprocess.run([*script, address], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-5000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "statuses": [0, 0],
        "closed": True,
        "connect": True,
        "zone": "Asia/Tokyo",
        "rows": 3,
        "slots": 2,
        "jvm": False,
    }
    lake = Lake(tmp_path / "lake")
    tables = [name for name in lake.tables() if name.startswith(("ids_", "nodes_", "edges_", "labels_", "past_"))]
    assert set(tables) > {"ids_customers", "nodes_products", "edges_purchases_customer_id", "labels_next_week"}
    for table in tables:
        assert lake.read(table).equals(shop.lake.read(table)), table


def test_a_server_that_is_not_there_is_one_line():
    with socket.socket() as free:
        free.bind((HOST, 0))
        address = f"sc://{HOST}:{free.getsockname()[1]}"
    with pytest.raises(GnnscaleError, match=f"Spark Connect server {address} can't be reached: .*refused"):
        open_session(SparkSettings(master=address))


def test_an_address_that_is_none_is_one_line():
    with pytest.raises(GnnscaleError, match="Spark Connect server sc://host:port can't be reached"):
        open_session(SparkSettings(master="sc://host:port"))

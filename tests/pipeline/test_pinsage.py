"""The recipe of item embeddings over a small file of order lines, from the lines to answers and their comparison."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gnnscale.cli.main import main
from gnnscale.config import bind_query, load_settings, plan_query_anchors
from gnnscale.inference import embed
from gnnscale.lake import Lake
from gnnscale.retrieval import read_vectors
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, build_task, find_network
from tests.group_shop import GROUPS, OF_GROUP, SMALL, write_lines
from tests.recording_callback import RecordingCallback

NAME = "related_items"
pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def shop_of_groups(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("groups")
    write_lines(folder / "lines.parquet")
    overrides = [f"lake.uri={folder / 'lake'}", f"tables.lines.source={folder / 'lines.parquet'}", *SMALL]
    assert main(["run", "pinsage", *overrides]) == 0
    settings, lake = load_settings("pinsage", overrides), Lake(str(folder / "lake"))
    store = GraphStore.open(lake)
    query = bind_query(settings, store.manifest)
    plan = plan_query_anchors(settings, query, store.manifest.time_ranges)
    return SimpleNamespace(settings=settings, overrides=overrides, lake=lake, store=store, query=query, plan=plan)


def test_what_goes_together_is_near_and_new_items_too(shop_of_groups: SimpleNamespace) -> None:
    rows = shop_of_groups.lake.read(f"predictions_{NAME}").to_pandas()
    assert (rows["entity"] != rows["target"]).all() and (rows.groupby("entity").size() == 25).all()
    first = rows[rows["rank"] <= OF_GROUP - 1]
    same = first["entity"].str[0] == first["target"].str[0]
    # One in eight by chance.
    assert same.mean() > 0.8
    new = first["entity"].str[1:] == f"{OF_GROUP - 1:02d}"
    assert len(first[new]) == GROUPS * (OF_GROUP - 1) and same[new].mean() > 0.8
    page = shop_of_groups.lake.read_bytes(f"_reports/{NAME}.html").decode()
    assert "Matrix factorization" in page and "Nearest text" in page and ">Cold <" in page


def test_layers_give_the_vectors_that_single_items_get(shop_of_groups: SimpleNamespace) -> None:
    s = shop_of_groups
    anchors = [s.plan.latest]
    tables = ("items", "items_as_entity")
    layered = [read_vectors(s.lake, table, anchors[0]) for table in tables]
    np.testing.assert_allclose(np.linalg.norm(layered[0][:, :-1], axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(layered[0][:, :-1], layered[1][:, :-1])
    sampled = load_settings("pinsage", [*s.overrides, "embedding.method=sampled", "embedding.batch_size=30"])
    embed(sampled, s.lake, s.store, anchors)
    for table, vectors in zip(tables, layered, strict=True):
        np.testing.assert_allclose(read_vectors(s.lake, table, anchors[0]), vectors, rtol=1e-3, atol=1e-4)


def test_training_goes_on_where_it_was_killed(shop_of_groups: SimpleNamespace) -> None:
    s = shop_of_groups
    settings = load_settings("pinsage", [*s.overrides, "training.epochs=4", "training.checkpoint_steps=10"])
    keeper = RecordingCallback()
    outcome = Trainer(settings, build_task(settings, s.lake, s.store, s.query), callback=keeper).run()
    again = Trainer(settings, build_task(settings, s.lake, s.store, s.query)).run(keeper.within[-1])
    assert again.losses == outcome.losses and all(
        (again.weights[name] == weight).all() for name, weight in outcome.weights.items()
    )


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("sampling.strategy=last", "model.network=pinsage needs sampling.strategy=walk"),
        ("model.convolution=attention", "model.convolution=attention is for model.network=blocks"),
        ("training.loss=pair", "training.loss=pair does not fit"),
        ("sampling.walks.cycle=[lines.StockCode]", "sampling.walks.cycle ends at 'lines'"),
        ("embedding.only_changed=true", "method=layerwise computes all nodes"),
    ],
)
def test_what_does_not_fit_is_told(shop_of_groups: SimpleNamespace, override: str, told: str) -> None:
    s = shop_of_groups
    with pytest.raises(ConfigError, match=told):
        build_task(load_settings("pinsage", [*s.overrides, override]), s.lake, s.store, s.query)


def test_it_is_for_rows_of_one_table(shop_of_groups: SimpleNamespace) -> None:
    s = shop_of_groups
    text = "PREDICT LIST_DISTINCT(lines.StockCode, 0, 28, days) RANK TOP 5 FOR EACH shoppers.`Customer ID`"
    overrides = [*s.overrides, f"query.text={text}", "sampling.walks.cycle=['lines.Customer ID', lines.StockCode]"]
    settings = load_settings("pinsage", overrides)
    query = bind_query(settings, s.store.manifest)
    with pytest.raises(ConfigError, match="ranks 'items' for 'shoppers'"):
        find_network(settings, query)(settings, s.store, query).links_anywhere()

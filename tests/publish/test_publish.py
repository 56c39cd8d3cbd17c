"""What the lake has is what readers are given, day by day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.config import Settings, bind_query, plan_query_anchors
from gnnscale.inference import embed, refresh_vectors
from gnnscale.lake import Lake
from gnnscale.publish import Store, is_published, publish_query
from gnnscale.publish.lake_rows import answer_rows
from gnnscale.retrieval import build_query_indexes, read_vectors, retrieve
from gnnscale.schema import DataError, LakeError, StoreError
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.embedded_shop import copy_shop, put_model
from tests.inference.test_refresh import day


class Published:
    """A shop with embeddings and predictions, and the store that it publishes to."""

    def __init__(self, shop: Shop, folder: Path, uri: str) -> None:
        settings, self.lake = copy_shop(shop, folder, partition_rows=16)
        publish = settings.publish.model_copy(update={"store": uri, "batch_rows": 7})
        self.settings: Settings = settings.model_copy(update={"publish": publish})
        self.graph = GraphStore.open(self.lake)
        self.query = bind_query(self.settings, self.graph.manifest)
        self.plan = plan_query_anchors(self.settings, self.query, self.graph.manifest.time_ranges)
        self.anchors = [self.plan.test, self.plan.latest]
        self.uri = uri

    def embed(self) -> None:
        embed(self.settings, self.lake, self.graph, self.anchors)

    def retrieve(self) -> None:
        build_query_indexes(self.settings, self.lake, self.query, self.anchors)
        retrieve(self.settings, self.lake, self.query, self.plan, self.graph)

    def refresh(self, number: int) -> Any:
        return refresh_vectors(self.settings, self.lake, self.graph, day(number))

    def publish(self, **options: Any) -> Any:
        return publish_query(self.settings, self.lake, self.query, **options)

    def vectors(self, table: str) -> np.ndarray[Any, Any]:
        return read_vectors(self.lake, table, self.plan.latest)

    def keys(self, table: str) -> list[str]:
        found: list[str] = self.lake.read(f"ids_{table}").sort_by("node_id")["key"].to_pylist()
        return found


@pytest.fixture
def made(shop: Shop, tmp_path: Path, uri: str) -> Published:
    return Published(shop, tmp_path, uri)


def test_readers_are_given_what_the_lake_has(made: Published) -> None:
    with pytest.raises(LakeError, match="holds neither predictions nor embeddings of query 'next_week'"):
        made.publish()
    made.embed()
    made.retrieve()
    done = made.publish()
    assert done.written == done.rows and set(done.rows) == {"products", "customers", "pairs", "predictions"}
    assert is_published(made.settings, made.lake, made.query)

    predictions = made.lake.read("predictions_next_week").to_pylist()
    with Store.open(made.uri) as store:
        for table in ("products", "customers"):
            vectors, there = store.vectors(f"next_week/{table}", [*made.keys(table), "none"])
            assert (vectors[:-1] == made.vectors(table)).all() and there.tolist()[-2:] == [True, False]
        for entity in sorted({row["entity"] for row in predictions}):
            (row,) = store.lookup("next_week/predictions", [entity])
            expected = [found for found in predictions if found["entity"] == entity]
            assert row["target"] == [found["target"] for found in expected]
            np.testing.assert_array_equal(np.array(row["score"], np.float32), [f["score"] for f in expected])
            assert row["anchor_time"] == expected[0]["anchor_time"]
            # Whoever puts all targets in order gets the predictions.
            ranked = store.rerank("next_week", entity, made.keys("products"))[: len(expected)]
            assert [target for target, _ in ranked] == row["target"]
            np.testing.assert_allclose([score for _, score in ranked], row["score"], rtol=1e-5)
    again = made.publish()
    assert (again.version, again.written) == (done.version, {})


def test_candidates_come_in_order_of_their_vectors(made: Published) -> None:
    made.embed()
    # A network of towers has no pairs.
    pairs = made.lake.read("pairs_next_week").to_pydict()
    none = pa.array([[]] * len(pairs["entity"]), pa.list_(pa.int64()))
    rows = made.lake.read("pairs_next_week").set_column(2, "targets", none)
    made.lake.write("pairs_next_week", rows.set_column(3, "scores", none.cast(pa.list_(pa.float32()))))
    assert set(made.publish().rows) == {"products", "customers"}
    keys, vectors = made.keys("products"), made.vectors("products")
    own = made.vectors("customers")[3]
    with Store.open(made.uri) as store:
        ranked = store.rerank("next_week", made.keys("customers")[3], ["none", *keys[5:12]])
        expected = sorted(zip(keys[5:12], vectors[5:12] @ own, strict=True), key=lambda pair: -pair[1])
        assert [key for key, _ in ranked] == [*(key for key, _ in expected), "none"]
        np.testing.assert_allclose([score for _, score in ranked[:-1]], [score for _, score in expected], rtol=1e-5)
        assert np.isnan(ranked[-1][1])
        with pytest.raises(StoreError, match="'none' has no vector in next_week/customers"):
            store.rerank("next_week", "none", keys)


def test_a_refresh_publishes_those_that_it_embedded(made: Published) -> None:
    made.embed()
    made.refresh(40)
    done = made.publish()
    assert done.written["customers"] == 40 and done.as_of == day(40) and done.lag > 86_400
    for number in (41, 43):
        found = made.refresh(number)
        done = made.publish()
        assert done.written == {"customers": found.encoded, "pairs": found.encoded} and 0 < found.encoded < 40
    with Store.open(made.uri) as store:
        rows = made.lake.read("refreshed_next_week").sort_by("node_id")
        vectors, there = store.vectors("next_week/customers", made.keys("customers"))
        assert there.all() and (vectors == np.array(rows["vector"].to_pylist(), np.float32)).all()
        (last,) = store.lookup("next_week/customers", [made.keys("customers")[0]])
        assert last["anchor_time"] == rows["anchor_time"][0].as_py()
        pairs = {row["entity"]: row for row in rows.to_pylist()}
        products, entity = made.keys("products"), next(key for key, row in pairs.items() if row["scores"])
        own = dict(zip([products[node] for node in pairs[entity]["targets"]], pairs[entity]["scores"], strict=True))
        scores = made.vectors("products") @ np.array(pairs[entity]["vector"], np.float32)
        for target, score in store.rerank("next_week", entity, products):
            expected = own.get(target, float(scores[products.index(target)]))
            np.testing.assert_allclose(score, expected, rtol=1e-5)

    # Two days whose publishing failed are made up for by one version.
    more = sum(made.refresh(number).encoded for number in (44, 45))
    done = made.publish()
    assert 0 < done.written["customers"] <= more and done.as_of == day(45)


def test_vectors_of_two_models_are_not_compared(made: Published, caplog: pytest.LogCaptureFixture) -> None:
    made.embed()
    made.refresh(40)
    made.publish()
    put_model(made.settings, made.lake, seed=5)
    made.refresh(41)
    # Until targets are embedded, too, those of the old model stand.
    with caplog.at_level("WARNING"):
        assert made.publish().written == {"customers": 40, "pairs": 40}
    assert "vectors of the last refresh are of another model than embeddings_products" in caplog.text
    with Store.open(made.uri) as store:
        assert store.rerank("next_week", made.keys("customers")[0], made.keys("products"))
        made.embed()
        assert made.publish().written == {"products": 30, "customers": 40, "pairs": 40}
        assert store.state("next_week").tables["customers"].source["table"] == "refreshed_next_week"


def test_rows_of_an_entity_that_lie_apart_are_refused(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    rows = pa.table({"entity": ["a", "b", "a"], "target": [1, 2, 3], "rank": [1, 1, 2], "score": [1.0, 0.5, 0.25]})
    lake.write("apart", rows.append_column("anchor_time", pa.nulls(3, pa.timestamp("us", "UTC"))))
    with pytest.raises(DataError, match="rows of an entity lie apart in apart"):
        list(answer_rows(lake, "apart", 0))


def test_answers_of_many_batches_and_types_come_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnscale.publish.lake_rows.BATCH", 4)
    lake = Lake(str(tmp_path))
    entities = np.repeat(np.arange(9), 3)
    rows = {
        "entity": entities,
        "target": pa.array([f'"t{i}"' for i in range(27)]),
        "rank": np.tile([1, 2, 3], 9),
        "score": np.array([5.0, 0.1, 1e-7] * 9, np.float32),
        "explored": pa.array([True, False, None] * 9),
        "anchor_time": pa.array([1_700_000_000_000_000] * 27, pa.timestamp("us", "UTC")),
    }
    lake.write("answers", pa.table(rows))
    found = dict(answer_rows(lake, "answers", 0))
    assert list(found) == [str(i) for i in range(9)]
    anchor, targets, scores, explored = json.loads(found["3"])
    assert (anchor, targets) == (1_700_000_000, ['"t9"', '"t10"', '"t11"'])
    assert [type(score) for score in scores] == [float] * 3 and scores == [5.0, 0.1, 1e-7]
    assert explored == [True, False, None]

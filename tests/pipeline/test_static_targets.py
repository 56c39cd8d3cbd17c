"""Targets without a window, of rows that have times: who knows, when each is asked, and what it may see then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyspark.sql import SparkSession

from gnnscale.batches import EntityBatchBuilder, EntityExamples, asked_examples, read_entity_examples, read_examples
from gnnscale.config import (
    SamplingSettings,
    Settings,
    bind_query,
    build_settings,
    count_unknown,
    plan_query_anchors,
)
from gnnscale.etl.features.feature_stage import build_features
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.label_stage import build_labels, describe_labels
from gnnscale.evaluation.baselines.fitted_baselines import FittedBaselines
from gnnscale.features import AnswerHistory, EntityFeatures
from gnnscale.lake import Lake
from gnnscale.query import DAY, PredictiveQuery, Split, explain
from gnnscale.retrieval.answers import ranked_table
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.schema import ConfigError, DataError, GraphManifest, LakeError, QueryError
from gnnscale.store import GraphStore
from tests.conftest import SPARK
from tests.entity_shop import OtherFuture
from tests.pipeline.test_leakage import flatten

ORDERS, MEMBERS, SHOPS, DAYS = 240, 12, 5, 60
EARLY_EVERY = 40
OPENING = pd.Timestamp("2024-01-01", tz="UTC")
FRAUD = "PREDICT orders.is_fraud = 1 FOR EACH orders.oid"
TAGS = [["a", "b"], ["b"], [], None, ["c", "a"]]


def make_bank(folder: Path) -> dict[str, Any]:
    """Orders, some of which are known to be fraud or not, and the disputes that followed those that were."""
    rng = np.random.default_rng(5)
    hours = np.sort(rng.integers(1, DAYS * 24, ORDERS))
    at = pd.Series(OPENING + pd.to_timedelta(hours, unit="h")).astype("datetime64[us, UTC]")
    fraud = pd.array(rng.integers(0, 2, ORDERS), dtype="Int64")
    fraud[rng.random(ORDERS) < 0.25] = pd.NA
    known = np.flatnonzero((fraud == 1).fillna(False))
    tables = {
        "members": pd.DataFrame(
            {
                "mid": range(MEMBERS),
                # One in three orders is older than the row of its member.
                "joined": OPENING + pd.to_timedelta(rng.integers(0, DAYS * 24 // 2, MEMBERS), unit="h"),
                "tags": [TAGS[i % 5] for i in range(MEMBERS)],
            }
        ),
        "orders": pd.DataFrame(
            {
                "oid": np.arange(1_000, 1_000 + ORDERS),
                "mid": rng.integers(0, MEMBERS, ORDERS),
                "sid": rng.integers(0, SHOPS, ORDERS),
                "at": at,
                "amount": rng.integers(1, 90, ORDERS).astype(float),
                "is_fraud": fraud,
                "code": [f"#{i}" for i in range(ORDERS)],
                "way": rng.choice(["post", "van", "shop"], ORDERS),
                # Known to be fraud or not a while after; of some, nobody wrote down when.
                "settled": (at + pd.to_timedelta(rng.integers(0, 500, ORDERS), unit="h")).where(
                    rng.random(ORDERS) < 0.8
                ),
            }
        ),
        "shops": pd.DataFrame({"sid": range(SHOPS), "kind": ["food", "toys", "food", "toys", "books"]}),
        "disputes": pd.DataFrame(
            {
                "oid": 1_000 + known,
                "opened": (at.iloc[known] + pd.Timedelta(days=3)).reset_index(drop=True),
                "cost": rng.integers(1, 9, len(known)).astype(float),
            }
        ),
    }
    # Some are written down as if known before the order.
    tables["orders"].loc[::EARLY_EVERY, "settled"] = at[::EARLY_EVERY] - pd.Timedelta(days=3)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    source = {name: str(folder / f"{name}.parquet") for name in tables}
    return {
        "recipe": "bank",
        "lake": {"uri": str(folder / "lake")},
        "tables": {
            # Their tags are lists of text, which nobody has to say.
            "members": {"source": source["members"], "primary_key": "mid", "time_column": "joined"},
            "shops": {"source": source["shops"], "primary_key": "sid"},
            "orders": {"source": source["orders"], "primary_key": "oid", "time_column": "at"},
            "disputes": {"source": source["disputes"], "time_column": "opened", "foreign_keys": {"oid": "orders"}},
        },
        "query": {"name": "fraud", "text": FRAUD},
        "spark": {"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2},
    }


@dataclass(frozen=True)
class Bank:
    """The bank's graph, and what its rows are."""

    content: dict[str, Any]
    lake: Lake
    manifest: GraphManifest
    orders: pd.DataFrame

    def settings(self, text: str = FRAUD, name: str = "fraud", **more: Any) -> Settings:
        return build_settings({**self.content, "query": {"name": name, "text": text}, **more})

    def query(self, text: str = FRAUD) -> PredictiveQuery:
        return bind_query(self.settings(text), self.manifest)

    @property
    def store(self) -> GraphStore:
        return GraphStore.open(self.lake)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    from gnnscale.etl.spark.session import open_session

    folder = tmp_path_factory.mktemp("bank")
    content = make_bank(folder)
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    session = open_session(SPARK, "gnnscale tests")
    manifest = build_graph(session, lake, settings)
    build_labels(session, lake, settings, manifest)
    orders = pd.read_parquet(folder / "orders.parquet")
    keys = lake.read("ids_orders").to_pandas().set_index("key")["node_id"]
    return Bank(content, lake, manifest, orders.assign(node=orders["oid"].map(keys)).set_index("node").sort_index())


def seconds(times: pd.Series) -> np.ndarray:
    return times.astype("datetime64[us, UTC]").astype("int64").to_numpy() // 1_000_000


def test_rows_that_know_are_learned_from_at_their_own_time_and_all_are_predicted(bank: Bank) -> None:
    labels = bank.lake.read("labels_fraud").to_pandas().set_index("entity").sort_index()
    known = bank.orders[bank.orders["is_fraud"].notna()]
    assert list(labels.index) == list(known.index)
    assert list(labels["target"]) == list(known["is_fraud"].astype(float))
    assert list(labels["anchor_time"]) == list(seconds(known["at"]))
    spans = labels.groupby("split")["anchor_time"].agg(["min", "max", "size"]).loc[["train", "validation", "test"]]
    assert (spans["max"].to_numpy()[:-1] < spans["min"].to_numpy()[1:]).all()
    assert spans["size"]["train"] == pytest.approx(0.8 * len(labels), abs=9)
    record = bank.lake.read_record("task_fraud")
    missing = bank.orders["is_fraud"].isna().sum()
    columns = {"columns": ["orders.is_fraud"]}
    assert record["left_out"] == {**columns, "asked": ORDERS, "unknown": missing, "undated": 0, "late": 0}
    said = f"{missing} of {ORDERS} make no example: orders.is_fraud is missing"
    assert said in describe_labels(record)
    query, store = bank.query(), bank.store
    lines = explain(
        query, plan_query_anchors(bank.settings(), query, bank.manifest.time_ranges), count_unknown(bank.lake, query)
    )
    assert f"no label    {said}; they are predicted, not learned from" in lines
    assert "at its own time (at)" in lines and "by time: the oldest 80 % train" in lines
    own = seconds(bank.orders["at"]) - bank.manifest.origin
    asked = asked_examples(store, query, np.arange(ORDERS), DAYS * 86_400)
    assert list(asked.entities) == list(range(ORDERS)) and list(asked.anchors) == list(own)
    early = asked_examples(store, query, np.arange(ORDERS), 30 * 86_400)
    assert 0 < len(early) == (own <= 30 * 86_400).sum() < ORDERS


def test_what_happens_after_a_row_changes_nothing_that_its_answer_is_made_of(bank: Bank) -> None:
    query, store, origin = bank.query(), bank.store, bank.manifest.origin
    examples = read_entity_examples(bank.lake, "fraud", Split.TEST, origin)
    assert len(examples) > 12
    features = EntityFeatures(store, "orders", query.hidden_columns, query.hidden_tables)
    disputed = False
    for row in range(len(examples)):
        one = examples.take(np.array([row]))
        moment = int(one.anchors[0])
        other = OtherFuture(store, moment)
        before, after = (
            flatten(EntityBatchBuilder(graph, query, SamplingSettings(), 5, 8).build(one)) for graph in (store, other)
        )
        assert [name for name in before if not torch.equal(before[name], after[name])] == []
        np.testing.assert_array_equal(
            features.compute(one.entities, one.anchors),
            EntityFeatures(other, "orders", query.hidden_columns, query.hidden_tables).compute(
                one.entities, one.anchors
            ),
        )
        # At the end of the data, the dispute that followed would tell.
        late = EntityExamples.unlabelled(one.entities, DAYS * 86_400 + 10 * 86_400)
        told = EntityBatchBuilder(store, query, SamplingSettings(), 5, 8).build(late).sums
        disputed |= not torch.equal(told, EntityBatchBuilder(store, query, SamplingSettings(), 5, 8).build(one).sums)
    assert disputed


def test_rows_are_told_by_what_was_known_of_their_member(bank: Bank) -> None:
    query, store = bank.query(), bank.store
    found = FittedBaselines(bank.settings(), bank.lake, store, query)
    # Of a row at its own time there is no window before it that anything came true in.
    assert list(found.baselines) == ["base_rate", "boosted_trees"]
    features = EntityFeatures(store, "orders", query.hidden_columns, query.hidden_tables)
    assert not any("fraud" in name for name in features.names)
    own = (seconds(bank.orders["at"]) - bank.manifest.origin).astype(np.int32)
    table = pd.DataFrame(features.compute(np.arange(ORDERS), own), columns=features.names)
    # An order that is older than the row of its member is known of that member from when the row is there.
    ids = bank.lake.read("ids_members").to_pandas().astype({"key": int}).set_index("key")["node_id"]
    since = np.maximum(own, store.features("members").times[bank.orders["mid"].map(ids)])
    disputed = bank.lake.read("edges_disputes_oid").to_pandas()
    opened = dict(zip(disputed["target"], disputed["time"] - bank.manifest.origin, strict=True))
    most = 0
    for row, (member, now) in enumerate(zip(bank.orders["mid"], own, strict=True)):
        before = np.flatnonzero((bank.orders["mid"] == member) & (since < now))
        if since[row] > now:
            # The member's row comes later: nothing is known of it, nor of what else names it.
            assert np.isnan(table.loc[row, "count(mid>orders.mid, all)"])
            continue
        assert table.loc[row, "count(mid>orders.mid, all)"] == len(before)
        known = sum(opened.get(other, now) < now for other in before)
        assert table.loc[row, "count(mid>orders.mid/disputes.oid, all)"] == known
        most = max(most, known)
    assert most > 3


@pytest.mark.parametrize(
    ("text", "known_after", "answers"),
    [
        (FRAUD, "settled", {"answer": lambda orders: orders["is_fraud"] == 1}),
        ("PREDICT orders.amount FOR EACH orders.oid", 2, {"answer": lambda orders: orders["amount"]}),
        (
            "PREDICT orders.way FOR EACH orders.oid",
            0,
            {f"answer={way}": lambda orders, way=way: orders["way"] == way for way in ("post", "van", "shop")},
        ),
    ],
)
def test_answers_that_are_known_by_then_tell_of_later_rows(
    bank: Bank,
    spark: SparkSession,
    caplog: pytest.LogCaptureFixture,
    text: str,
    known_after: str | int,
    answers: dict[str, Any],
) -> None:
    asked = {"name": "told", "text": text, "known_after": known_after}
    settings = bank.settings(query=asked)
    build_labels(spark, bank.lake, settings, bank.manifest)
    answered = bank.orders[bank.orders["is_fraud"].notna()]
    early, timed = (answered["settled"] < answered["at"]).sum(), answered["settled"].notna().sum()
    told = f"{early} of {timed} rows of 'orders' have a 'settled' before their own time"
    assert early > 2 and (told in caplog.text) == (known_after == "settled")
    query, store, orders = bind_query(settings, bank.manifest), bank.store, bank.orders
    history = AnswerHistory.read(bank.lake, "told", store, query)
    hidden = query.hidden_columns, query.hidden_tables
    features = EntityFeatures(store, "orders", *hidden, threads=2, history=history)
    assert not any("settled" in name for name in features.names) or known_after != "settled"
    own = (seconds(orders["at"]) - bank.manifest.origin).astype(np.int64)
    known = own + (known_after * DAY if isinstance(known_after, int) else 0)
    if known_after == "settled":
        # Times are rounded up to seconds, a midnight is a date, and NaT is never.
        known = (seconds(orders["settled"].fillna(pd.Timestamp("2100-01-01", tz="UTC"))) - bank.manifest.origin).astype(
            np.int64
        )
        known += np.where((known + bank.manifest.origin) % DAY == 0, DAY, 0)
        known = np.maximum(known, own)
    anchors = np.concatenate([own, own + 9 * DAY])
    rows = np.tile(np.arange(ORDERS), 2)
    found = features.compute(rows, anchors.astype(np.int32))
    table = pd.DataFrame(found, columns=features.names)
    has = orders["is_fraud"].notna().to_numpy() if text == FRAUD else np.ones(ORDERS, bool)
    most = 0
    late = unlinked = 0
    ids = bank.lake.read("ids_members").to_pandas().astype({"key": int}).set_index("key")["node_id"]
    there = {"mid": np.maximum(own, store.features("members").times[orders["mid"].map(ids)]), "sid": own}
    for at, (row, now) in enumerate(zip(rows, anchors, strict=True)):
        # A row that is asked about after its answer was known is not told it, nor what was known after that.
        late += has[row] and known[row] < now
        moment, now = now, min(now, known[row]) if has[row] else now
        for key in ("mid", "sid"):
            # Of a member whose row comes later, nobody knows before what is its.
            linked = there[key][row] <= moment
            same = (orders[key] == orders.loc[row, key]) if linked else False
            told = orders[same & has & (np.maximum(known, there[key]) < now)]
            name = f"{key}>orders.answer"
            unlinked += not linked
            count = table.loc[at, f"count({name}, all)"]
            assert count == len(told) if linked else np.isnan(count)
            for column, values in answers.items():
                wanted = values(told).astype(float).mean() if len(told) else np.nan
                assert table.loc[at, f"mean({name}, {column}, all)"] == pytest.approx(wanted, nan_ok=True)
                every = values(orders[has & (known < now)]).astype(float)
                prior = every.mean() if len(every) else np.nan
                shrunk = (values(told).astype(float).sum() + 5 * prior) / (len(told) + 5)
                assert table.loc[at, f"shrunk_mean({name}, {column})"] == pytest.approx(shrunk, nan_ok=True, rel=1e-5)
            most = max(most, len(told))
    assert most > 20 and late > 20 and unlinked > 20
    # What comes after the anchor, an answer too, changes nothing.
    early = replace(history, known=np.where(history.known >= 30 * DAY, history.known + 99, history.known))
    early = replace(early, values=np.where(history.known[:, None] >= 30 * DAY, 1e15, history.values))
    then = np.full(ORDERS, 30 * DAY, np.int32)
    np.testing.assert_array_equal(
        features.compute(np.arange(ORDERS), then),
        EntityFeatures(store, "orders", *hidden, history=early).compute(np.arange(ORDERS), then),
    )
    fitted = FittedBaselines(settings, bank.lake, store, query)
    assert fitted._inputs.entity.names == features.names and "earlier_answers" in fitted.baselines
    test = read_entity_examples(bank.lake, "told", Split.TEST, bank.manifest.origin)
    for method in ("earlier_answers", "linear_model"):
        said = fitted.predict(test)[method]
        assert np.isfinite(said).all() and len(np.unique(said[:, 0])) > 5
        assert text == "PREDICT orders.amount FOR EACH orders.oid" or np.allclose(said.sum(axis=1), 1) or text == FRAUD
    # Nobody learns from what was not known when validation, or the test, began.
    labels = bank.lake.read("labels_told").to_pandas().set_index("entity")
    begin = {split: labels.loc[labels["split"] == split, "anchor_time"].min() for split in ("validation", "test")}
    spent = np.where(labels["anchor_time"] < begin["validation"], "train", "validation")
    spent = np.where(labels["anchor_time"] < begin["test"], spent, "test")
    # Splits begin at a midnight.
    begin = {split: first - first % DAY for split, first in begin.items()}
    until = np.select([spent == "train", spent == "validation"], [begin["validation"], begin["test"]], np.inf)
    since = pd.Series(known + bank.manifest.origin).reindex(labels.index)
    wanted = np.where(since < until, spent, "late")
    assert list(labels["split"]) == list(wanted) and ("late" in wanted) == (known_after != 0)
    left = bank.lake.read_record("task_told")["left_out"]
    assert left["late"] == (wanted == "late").sum()
    assert ("are not learned from" in describe_labels(bank.lake.read_record("task_told"))) == (known_after != 0)
    assert features.compute(np.zeros(0, np.int64), np.zeros(0, np.int32)).shape == (0, len(features.names))
    other = bind_query(bank.settings(query={**asked, "known_after": 30}), bank.manifest)
    with pytest.raises(LakeError, match="run the labels stage again"):
        AnswerHistory.read(bank.lake, "told", store, other)
    words = explain(query)
    assert ("of a row are known from its settled, which is no input itself" in words) == (known_after == "settled")


def test_sparks_features_have_the_answers_that_are_known(bank: Bank, spark: SparkSession) -> None:
    settings = bank.settings(query={"name": "told", "text": FRAUD, "known_after": 3})
    build_labels(spark, bank.lake, settings, bank.manifest)
    assert build_features(spark, bank.lake, settings, bank.manifest) == len(bank.lake.read("labels_told"))
    query = bind_query(settings, bank.manifest)
    history = AnswerHistory.read(bank.lake, "told", bank.store, query)
    features = EntityFeatures(bank.store, "orders", query.hidden_columns, query.hidden_tables, history=history)
    table = bank.lake.read("features_told").sort_by("entity").to_pandas()
    columns = {name: column for column, name in bank.lake.read_record("features_told")["columns"].items()}
    assert set(columns) == set(features.names) and "shrunk_mean(mid>orders.answer, answer)" in features.names
    anchors = (table["anchor_time"] - bank.manifest.origin).to_numpy(np.int32)
    wanted = features.compute(table["entity"].to_numpy(), anchors)
    np.testing.assert_array_equal(table[[columns[name] for name in features.names]].to_numpy(np.float32), wanted)


@pytest.mark.parametrize(
    ("text", "known_after", "says"),
    [
        (
            FRAUD,
            "setled",
            r"column 'setled' of 'orders' is not there. Did you mean 'settled'",
        ),
        (
            FRAUD,
            "amount",
            r"column 'amount' of 'orders' holds no times. Columns of times: settled. Give a column",
        ),
        (FRAUD, -1, r"query.known_after"),
        (FRAUD, float("inf"), r"query.known_after"),
        (
            "PREDICT COUNT(orders.*, 0, 7, days) FOR EACH members.mid",
            3,
            r"query.known_after=3.0 is for targets without a window of rows that have times",
        ),
    ],
)
def test_what_cannot_tell_when_answers_are_known_is_refused(
    bank: Bank, text: str, known_after: str | int, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        bind_query(bank.settings(query={"name": "told", "text": text, "known_after": known_after}), bank.manifest)


def test_given_examples_do_not_say_when_answers_are_known(bank: Bank) -> None:
    asked = {"name": "told", "text": FRAUD, "known_after": 1, "examples": "mine.parquet"}
    with pytest.raises(ConfigError, match=r"query\.known_after is for the examples that a query makes"):
        bind_query(bank.settings(query=asked), bank.manifest)


def labels_of(bank: Bank, spark: SparkSession, text: str, name: str, **more: Any) -> pd.DataFrame:
    build_labels(spark, bank.lake, bank.settings(text, name, **more), bank.manifest)
    return bank.lake.read(f"labels_{name}").to_pandas()


def test_splits_begin_where_they_are_set_to(bank: Bank, spark: SparkSession) -> None:
    anchors = {"validation": "2024-02-10", "test": "2024-02-20", "start": "2024-01-10"}
    labels = labels_of(bank, spark, FRAUD, "cut", anchors=anchors)
    begins = {key: int(pd.Timestamp(value, tz="UTC").timestamp()) for key, value in anchors.items()}
    spans = labels.groupby("split")["anchor_time"].agg(["min", "max"])
    assert begins["start"] <= spans["min"]["train"] and spans["max"]["train"] < begins["validation"]
    assert begins["validation"] <= spans["min"]["validation"] and spans["max"]["validation"] < begins["test"]
    assert begins["test"] <= spans["min"]["test"]
    with pytest.raises(DataError, match=r"no orders row has a known target in the validation split, which goes by"):
        labels_of(
            bank, spark, FRAUD, "cut", anchors={"validation": "2024-02-10 00:10:00", "test": "2024-02-10 00:10:01"}
        )


def test_arrays_of_values_are_classes_of_their_own(bank: Bank, spark: SparkSession) -> None:
    anchors = {"validation": "2024-01-15", "test": "2024-01-20"}
    labels = labels_of(bank, spark, "PREDICT members.tags CLASSIFY FOR EACH members.mid", "tags", anchors=anchors)
    keys = bank.lake.read("ids_members").to_pandas().set_index("node_id")["key"]
    found = {int(keys[r.entity]): list(r.target) for r in labels.itertuples()}
    assert found == {i: sorted(TAGS[i % 5]) for i in range(MEMBERS) if TAGS[i % 5]}
    assert bank.lake.read_record("task_tags")["left_out"]["unknown"] == 4
    assert count_unknown(bank.lake, bank.query("PREDICT members.tags FOR EACH members.mid")).unknown == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PREDICT orders.is_fraud FOR EACH orders.oid", True),
        ("PREDICT orders.amount FOR EACH orders.oid", False),
        (FRAUD, False),
    ],
)
def test_amounts_that_are_0_or_1_alone_are_said_to_be_chances(bank: Bank, spark: SparkSession, text, said, caplog):
    labels_of(bank, spark, text, "zeros")
    figures = bank.lake.read_record("task_zeros")["splits"]["train"]
    assert ("put '= 1' after what PREDICT asks for" in caplog.text) == said
    assert "one" not in figures or (figures["zero"] + figures["one"] == pytest.approx(1)) == said


def test_a_column_that_differs_in_every_row_gives_no_classes(bank: Bank) -> None:
    with pytest.raises(QueryError, match=r"orders\.code has a value of its own in nearly every row"):
        bank.query("PREDICT orders.code FOR EACH orders.oid")


def test_links_without_a_window_carry_no_dates(bank: Bank, spark: SparkSession) -> None:
    text = "PREDICT LIST_DISTINCT(orders.sid) RANK TOP 3 FOR EACH members.mid"
    labels = labels_of(bank, spark, text, "usual")
    assert list(labels.columns) == ["entity", "part", "split", "targets"]
    parts = labels.groupby("split")["part"].agg(["min", "max"])
    assert [tuple(parts.loc[split]) for split in ("train", "validation", "test")] == [(3, 7), (8, 8), (9, 9)]
    query = bank.query(text)
    plan = plan_query_anchors(bank.settings(text), query, bank.manifest.time_ranges)
    examples = read_examples(bank.lake, "usual", Split.TEST, bank.manifest.origin)
    assert set(examples.anchors) == {plan.test - bank.manifest.origin}
    assert "2024" not in explain(query, plan) and "orders by ten parts" in explain(query, plan)
    found = Neighbors(np.array([[1, 0]]), np.ones((1, 2), np.float32))
    assert ranked_table(found, pa.array([7]), pa.array([3, 4]), None)["anchor_time"].null_count == 2


def test_rows_that_are_older_than_their_parent_are_counted_and_refused_past_a_share(
    bank: Bank, spark: SparkSession
) -> None:
    members = pd.read_parquet(bank.content["tables"]["members"]["source"]).set_index("mid")
    joined = bank.orders["mid"].map(members["joined"])
    early = int((bank.orders["at"] < joined).sum())
    link = next(k for k in bank.manifest.links if k.link.name == "orders.mid")
    assert 0 < early == link.early < 0.5 * ORDERS
    assert [k.early for k in bank.manifest.links if k.table == "disputes"] == [0]
    settings = build_settings({**bank.content, "graph": {"checks": {"max_early_rate": 0.1}}})
    with pytest.raises(
        DataError,
        match=rf"link orders\.mid: {early} of {ORDERS} rows are older .* tables\.members\.time_column .*"
        r"end_time=joined.*graph\.checks\.max_early_rate",
    ):
        build_graph(spark, bank.lake, settings)

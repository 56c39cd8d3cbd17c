"""The labels of the Spark stage equal an independent pandas reading of the definition, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from gnnscale.config import Settings, bind_query, build_settings, plan_query_anchors
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.label_stage import build_labels
from gnnscale.etl.labels.labelled_examples import label_frame
from gnnscale.etl.spark.session import open_session
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import GraphManifest, QueryError
from tests.conftest import SPARK
from tests.query_labels import (
    cases_aggregates,
    cases_conditions,
    cases_inner_where,
    cases_population,
    cases_tasks,
    cases_windows,
)
from tests.query_labels.case import STATIC_LINKS, Case
from tests.query_labels.database import Database, make_database
from tests.query_labels.oracle import ceiled, present

SUBJECTS = (cases_windows, cases_aggregates, cases_inner_where, cases_population, cases_conditions, cases_tasks)
CASES = {f"{module.__name__.rsplit('_', 1)[-1]}-{case.name}": case for module in SUBJECTS for case in module.CASES}


@dataclass(frozen=True)
class Built:
    """The database and the graph that was built of it."""

    database: Database
    content: dict[str, Any]
    lake: Lake
    manifest: GraphManifest
    keys: dict[str, dict[int, Any]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    database, content = make_database(tmp_path_factory.mktemp("query_labels"))
    session = open_session(SPARK, "gnnscale tests")
    settings = build_settings(content)
    lake = Lake(settings.lake.uri)
    manifest = build_graph(session, lake, settings)
    keys = {}
    for table in ("users", "cities", "items", "orders"):
        ids = lake.read(f"ids_{table}").to_pydict()
        keys[table] = dict(zip(ids["node_id"], ids["key"], strict=True))
    return Built(database, content, lake, manifest, keys)


def stage_labels(built: Built, case: Case) -> tuple[PredictiveQuery, dict[int, str], pd.DataFrame]:
    """The query, its anchors with their splits, and the rows that the label stage makes of it."""
    settings: Settings = build_settings(
        {
            **built.content,
            "query": {"name": "case", "text": case.text},
            "anchors": {**built.content["anchors"], **({"test": None} if case.own_time else {}), **case.anchors},
        }
    )
    session = open_session(SPARK, "gnnscale tests")
    query = bind_query(settings, built.manifest)
    plan = plan_query_anchors(settings, query, built.manifest.time_ranges)
    frame = label_frame(session, built.lake, query, plan, built.manifest)
    return query, {a: str(split) for a, split in plan.splits().items()}, frame.toPandas()


def plain(value: Any) -> Any:
    """A target as numbers, texts and lists of Python."""
    if value is None or (not hasattr(value, "__len__") and pd.isna(value)):
        return None
    if isinstance(value, str):
        return value
    if hasattr(value, "__len__"):
        return tuple(plain(v) for v in value)
    return float(value)


@pytest.mark.parametrize("name", CASES)
def test_labels_equal_the_definition(built: Built, name: str) -> None:
    case = CASES[name]
    query, splits, labels = stage_labels(built, case)
    assert query.task_type is case.task
    links = case.task.predicts_links
    column = "targets" if links else "target"
    entities = [built.keys[query.entity.name][e] for e in labels["entity"]]
    targets = [plain(v) for v in labels[column]]
    if links:
        assert all(list(t) == sorted(set(t)) for t in targets)
        named = built.keys[query.target.name]
        targets = [tuple(sorted(named[int(node)] for node in t)) for t in targets]
    anchors = [int(a) for a in labels["anchor_time"]]
    if case.own_time:
        times = built.database.__dict__[query.entity.name]["when"].map(ceiled)
        assert anchors == [times[key] for key in entities]
        assert_split_by_time(anchors, list(labels["split"]))
        anchors, splits = [0] * len(anchors), {0: ""}
    elif case.static:
        # Everything is asked at one time, and the entities are split instead.
        assert len(set(anchors)) == 1
        splits = {anchors[0]: ""}
    else:
        assert [splits[a] for a in anchors] == list(labels["split"])
    found = dict(zip(zip(entities, anchors, strict=True), targets, strict=True))
    expected = expected_at(built.database, case, splits)
    assert len(found) == len(labels), "an example is there once"
    assert found == expected
    assert_worth_running(case, expected)
    if case.past is not None:
        pasts = dict(zip(zip(entities, anchors, strict=True), (plain(v) for v in labels["past"]), strict=True))
        assert pasts == expected_past(built.database, case, splits, expected)


def test_links_without_a_window_are_learned_part_by_part(built: Built) -> None:
    case = Case("", "PREDICT LIST_DISTINCT(reviews.item_id) RANK TOP 4 FOR EACH users.user_id", STATIC_LINKS, no_labels)
    query, splits, labels = stage_labels(built, case)
    assert query.task_type is case.task
    facts = built.database.reviews
    links = {(u, int(i)) for u, i in zip(facts["user_id"], facts["item_id"], strict=True) if present(u) and present(i)}
    pairs = []
    for entity, anchor, nodes, split in labels[["entity", "anchor_time", "targets", "split"]].itertuples(index=False):
        assert splits[anchor] == split
        assert list(nodes) == sorted(set(nodes))
        pairs += [(built.keys["users"][entity], built.keys["items"][int(node)]) for node in nodes]
    assert set(labels["split"]) == {"train", "validation", "test"}
    # What comes first is known and asked of nobody.
    assert set(pairs) <= links and len(set(pairs)) > len(links) / 2
    known = {(u, i) for u, i in links if u in built.database.users.index and i in built.database.items.index}
    assert len(set(pairs)) < len(known)


def no_labels(db: Database, anchor: int) -> pd.Series:
    return pd.Series(dtype=object)


def test_no_examples_left_is_a_fault_of_the_query(built: Built) -> None:
    text = "PREDICT COUNT(orders.*, 0, 7)\nFOR EACH users.user_id\nWHERE users.age > 1000"
    settings = build_settings({**built.content, "query": {"name": "nobody", "text": text}})
    with pytest.raises(QueryError, match="WHERE lets no users row through") as caught:
        build_labels(open_session(SPARK, "gnnscale tests"), built.lake, settings, built.manifest)
    assert caught.value.line == 3
    assert not Lake(built.lake.uri).exists("labels_nobody")


def assert_split_by_time(times: list[int], splits: list[str]) -> None:
    """The oldest train, the latest test, some eight, one and one in ten."""
    spans = {name: [t for t, split in zip(times, splits, strict=True) if split == name] for name in set(splits)}
    assert max(spans["train"]) < min(spans["validation"]) and max(spans["validation"]) < min(spans["test"])
    assert 0.6 <= len(spans["train"]) / len(times) <= 0.9


def expected_at(database: Database, case: Case, splits: dict[int, str]) -> dict[Any, Any]:
    """(entity, anchor) -> target."""
    return {(k, a): plain(v) for a in splits for k, v in case.labels(database, a).items()}


def expected_past(database: Database, case: Case, splits: dict[int, str], examples: Any) -> dict[Any, Any]:
    """(entity, anchor) -> past of every example."""
    assert case.past is not None
    return {(k, a): plain(v) for a in splits for k, v in case.past(database, a).items() if (k, a) in examples}


def assert_worth_running(case: Case, expected: dict[Any, Any]) -> None:
    assert all(present(v) for v in expected.values())
    assert len(expected) >= 5
    assert len(set(expected.values())) >= case.values

"""Lakes that are broken in drawn ways: each a right result, or an error that a person can act on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gnnscale as gs
from gnnscale.lake import Lake
from gnnscale.schema import MANIFEST_NAME, GnnscaleError
from tests.fuzz.broken_tables import BREAKS, QUERY, QUESTIONS, WINDOW, Shop, sound_shop, write_shop

COUNT = int(os.environ.get("GNNSCALE_FUZZ", "0"))
"""Lakes to draw, for a campaign; 0: a few, always the same."""

DRAWS = st.tuples(st.lists(st.sampled_from(sorted(BREAKS)), min_size=1, max_size=4, unique=True), st.integers(0, 10**6))


def campaign(few: int):
    """Settings of hypothesis: a campaign's where one was asked for."""
    return settings(
        max_examples=COUNT or few,
        derandomize=not COUNT,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def broken_shop(names: list[str], seed: int) -> Shop:
    rng = np.random.default_rng(seed)
    shop = sound_shop(rng)
    # What takes a column away comes last: others change it.
    for name in sorted(names, key=lambda name: name == "no_link"):
        BREAKS[name](shop, rng)
    return shop


def is_said(error: GnnscaleError) -> str:
    """See that a person can read it."""
    text = str(error)
    assert text and len(text) < 1_500 and text.count("\n") <= 3, text
    assert "Traceback" not in text and "org.apache" not in text and "JVM" not in text, text
    return text


def is_told(error: GnnscaleError, shop: Shop) -> None:
    """See that a person can act on it, and that it had to be."""
    text = is_said(error)
    assert shop.refused | shop.refusable, f"nothing is wrong with it: {text}"
    assert any(name in text for name in (*shop.tables, "user_id")), text


@campaign(150)
@given(DRAWS)
def test_tables_are_described_or_refused(tmp_path_factory, draw):
    folder = tmp_path_factory.mktemp("fuzz")
    shop = broken_shop(*draw)
    try:
        graph = gs.Graph.from_tables(write_shop(shop, folder))
        graph.query(QUERY).explain()
        assert set(graph.schema.tables) == set(shop.tables)
        repr(graph)
    except GnnscaleError as error:
        is_told(error, shop)
    finally:
        shutil.rmtree(folder)


@pytest.mark.spark
@campaign(4)
@given(DRAWS)
def test_labels_are_right_or_refused(spark, tmp_path_factory, draw):
    folder = tmp_path_factory.mktemp("fuzz")
    shop = broken_shop(*draw)
    try:
        graph = gs.Graph.from_tables(write_shop(shop, folder))
        labels = graph.query(QUERY, "q").label(folder / "lake").to_pydict()
        assert not shop.refused, f"{shop.refused} had to be refused"
        is_right(shop, Lake(str(folder / "lake")), labels)
    except GnnscaleError as error:
        is_told(error, shop)
    finally:
        shutil.rmtree(folder)


@pytest.mark.spark
@campaign(2)
@given(DRAWS, st.sampled_from(QUESTIONS))
def test_answers_are_finite_or_refused(spark, tmp_path_factory, draw, question):
    folder = tmp_path_factory.mktemp("fuzz")
    shop = broken_shop(*draw)
    if "infinite_numbers" in draw[0] and "amount" in question:
        # Amounts of 1e300 are no targets that a network learns.
        shop.refusable.add("amount")
    try:
        query = gs.Graph.from_tables(write_shop(shop, folder)).query(question, "q")
        model = query.fit(folder / "lake", mode="fast", overrides={"training.epochs": 1, "evaluation.resamples": 20})
        assert not shop.refused, f"{shop.refused} had to be refused"
        is_finite(model)
    except GnnscaleError as error:
        text = is_said(error)
        # Twelve users may be too few for a question, or nothing is there to learn.
        few = any(word in text for word in ("few", "no example", "no label", "nothing to", "only one"))
        assert few or shop.refused | shop.refusable, f"nothing is wrong with it: {text}"
    finally:
        shutil.rmtree(folder)


def is_finite(model: gs.Model) -> None:
    """No answer of a model, written or given now, is missing or no number."""
    written = Lake(model.lake).read("predictions_q").to_pandas()
    for answers in (written, model.predict()):
        assert len(answers) and not answers["entity"].isna().any()
        for name in {"score", "value", "target"} & set(answers.columns):
            assert not answers[name].isna().any(), name
            if answers[name].dtype.kind == "f":
                assert np.isfinite(answers[name]).all(), name


def is_right(shop: Shop, lake: Lake, labels: dict[str, list]) -> None:
    """Hold edges and labels against what the raw rows say."""
    links = {link["column"]: link for link in lake.read_record(MANIFEST_NAME)["links"] if link["table"] == "events"}
    found = links["user_id"]
    known = sum(user is not None for user in shop.event_users)
    assert (found["edges"], found["edges"] + found["nulls"] + found["dangling"]) == (known, len(shop.event_users))
    ids = lake.read("ids_users").to_pydict()
    key_of = {node: str(key) for key, node in zip(ids["key"], ids["node_id"], strict=True)}
    assert sorted(key_of.values()) == sorted(map(str, shop.user_keys))
    users = np.array([str(user) for user in shop.event_users])
    for node, anchor, target in zip(labels["entity"], labels["anchor_time"], labels["target"], strict=True):
        inside = (shop.event_times > anchor) & (shop.event_times <= anchor + WINDOW)
        assert target == np.sum(inside & (users == key_of[node])), (key_of[node], anchor)


def test_every_way_is_known_to_the_campaign():
    assert len(BREAKS) >= 55
    assert Path(__file__).name == "test_broken_lakes.py"

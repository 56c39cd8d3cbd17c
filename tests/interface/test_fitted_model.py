"""What a model is asked is read as it was meant, before its graph is opened."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gnnscale.config import build_settings
from gnnscale.interface.fitted_model import Model, anchor_seconds, entity_keys
from gnnscale.pipeline.stages.train_stage import TRAINED
from gnnscale.schema import MANIFEST_NAME, ConfigError, DataError, GraphManifest

SECONDS = 1_704_067_200  # 2024-01-01

TIMES: dict[str, Any] = {
    "epoch seconds": SECONDS,
    "a number of numpy": np.int64(SECONDS),
    "a day as text": "2024-01-01",
    "text of a zone": "2024-01-01T01:00:00+01:00",
    "text of UTC": "2024-01-01T00:00:00Z",
    "a datetime": datetime(2024, 1, 1),
    "a datetime of a zone": datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    "a time of pandas": pd.Timestamp("2024-01-01", tz=UTC),
    "a time of numpy": np.datetime64("2024-01-01"),
    "a date": date(2024, 1, 1),
}


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
def test_an_anchor_is_a_time_or_epoch_seconds(time: Any) -> None:
    assert anchor_seconds(time) == SECONDS


@pytest.mark.parametrize("time", ["01/02/2024", "now", "soon", "", 1.5, True, pd.NaT, np.datetime64("NaT"), [], {}])
def test_what_is_no_time_is_an_error_that_says_what_is(time: Any) -> None:
    with pytest.raises(ConfigError, match="ISO 8601 text and epoch seconds"):
        anchor_seconds(time)


KEYS: dict[str, tuple[Any, list[Any]]] = {
    "text": ("c1", ["c1"]),
    "a number": (5, [5]),
    "a number of numpy": (np.int64(5), [5]),
    "a number of Arrow": (pa.scalar(5), [5]),
    "a list": (["c1", "c2"], ["c1", "c2"]),
    "a list of values of Arrow": ([pa.scalar("c1"), "c2"], ["c1", "c2"]),
    "an array of numpy": (np.array([1, 2]), [1, 2]),
    "an array of nothing but one": (np.array(1), [1]),
    "an array of Arrow": (pa.array([1, 2]), [1, 2]),
    "a column of Arrow": (pa.table({"key": ["c1", "c2"]})["key"], ["c1", "c2"]),
    "a column of pandas": (pd.Series(["c1", "c2"]), ["c1", "c2"]),
    "an index": (pd.Index([1, 2]), [1, 2]),
    "a column of polars": (pl.Series([1, 2]), [1, 2]),
    "an iterator": (iter([1, 2]), [1, 2]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("given", "keys"), KEYS.values(), ids=KEYS)
def test_keys_are_plain_values_whatever_holds_them(given: Any, keys: list[Any]) -> None:
    found = entity_keys(given)
    assert found == keys and [type(key) for key in found] == [type(key) for key in keys]


@pytest.mark.parametrize("given", [pd.DataFrame({"key": [1]}), pa.table({"key": [1]}), {"key": 1}, [["c1"]], [{}]])
def test_what_holds_no_keys_is_an_error(given: Any) -> None:
    with pytest.raises(DataError, match="entities are"):
        entity_keys(given)


@pytest.fixture
def model(shop_content: dict[str, Any], tmp_path: Path) -> Model:
    """A model whose lake says that it was trained, and when the graph's times begin."""
    settings = build_settings({**shop_content, "lake": {"uri": str(tmp_path)}})
    made = Model(settings)
    made._lake.write_record(TRAINED.format(query=settings.query.name), settings.model_dump(mode="json"))
    made._lake.write_record(MANIFEST_NAME, GraphManifest((), (), SECONDS, None).to_dict())
    return Model.open(made.lake, made.name, {})


@pytest.mark.parametrize("as_of", [-(10**12), 10**12, "1900-01-01", "2100-01-01", 10**30])
def test_an_anchor_too_far_from_the_graph_is_an_error(model: Model, as_of: Any) -> None:
    with pytest.raises(ConfigError, match="68 years"):
        model.predict(["c001"], as_of=as_of)


@pytest.mark.parametrize("k", [0, -1, 2.5, "3"])
def test_k_is_a_whole_number_from_one(model: Model, k: Any) -> None:
    with pytest.raises(ConfigError, match="k="):
        model.predict(["c001"], k=k)


def test_a_model_that_was_not_evaluated_says_so(model: Model) -> None:
    assert repr(model).splitlines()[-1] == "not evaluated" and model.query in repr(model)

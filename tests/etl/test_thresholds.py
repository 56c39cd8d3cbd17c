"""Thresholds: every one that is not kept to is named, with what was measured and the key to change."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from gnnscale.config.sections.settings import ChecksSettings, GraphSettings
from gnnscale.etl.checks.checks import TableFigures, check_tables, count_repeats
from gnnscale.etl.checks.degrees import DegreeHistogram
from gnnscale.etl.checks.isolated import count_isolated
from gnnscale.etl.checks.thresholds import check_rows, check_thresholds
from gnnscale.schema import DataError, GraphSchema, LinkManifest, Table
from tests.etl.frames import raw_table

TABLES = {"facts": TableFigures(100, (0, 9), duplicates=3, out_of_range=7), "parents": TableFigures(40, None)}
ISOLATED = {"facts": None, "parents": 5}
LINKS = [LinkManifest("facts", "k", "parents", 80, 8, 12, 40, 30, 9)]


def check(**thresholds: float) -> None:
    check_thresholds(ChecksSettings(**thresholds), TABLES, ISOLATED, LINKS)


def test_by_default_anything_goes_and_a_threshold_that_is_just_kept_passes():
    check()
    check(max_duplicate_rate=0.03, max_out_of_range_rate=0.07, max_isolated_rate=0.125, max_null_rate=0.08)
    check(min_parent_match_rate=0.75)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("max_duplicate_rate", 0.02, r"table 'facts': 3 of 100 rows repeat another .*\(3\.00%; at most 2% may\)"),
        ("max_out_of_range_rate", 0.0, r"table 'facts': 7 of 100 rows have a time outside graph\.time_range"),
        ("max_isolated_rate", 0.1, r"table 'parents': 5 of 40 rows are joined with no row .*\(12\.50%; at most 10%"),
        ("max_null_rate", 0.075, r"link facts\.k: 8 of 100 rows have no key \(8\.00%; at most 7\.5% may\)"),
        (
            "min_parent_match_rate",
            0.8,
            r"link facts\.k: 30 of 40 rows of 'parents' are named .*\(75\.00%; at least 80%",
        ),
    ],
)
def test_a_threshold_that_is_not_kept_to_is_named(key, value, says):
    with pytest.raises(DataError, match=says) as caught:
        check(**{key: value})
    assert str(caught.value).endswith(f"graph.checks.{key} sets this") and "\n" not in str(caught.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(DataError) as caught:
        check(max_duplicate_rate=0, max_isolated_rate=0, max_null_rate=0)
    assert len(str(caught.value).splitlines()) == 3


def test_the_older_key_of_the_match_rate_goes_on_and_the_message_names_the_one_that_counted(spark):
    raw = {
        "parents": raw_table(spark, Table("parents", primary_key="k"), k=["a", "b"]),
        "rows": raw_table(spark, Table("rows", foreign_keys={"k": "parents"}), k=["a", "x", "x"]),
    }
    graph = GraphSchema([table.table for table in raw.values()])
    with pytest.raises(DataError, match=r"33\.3%; at least 50% must.* 'x'; graph\.min_match_rate sets the least"):
        check_rows(raw, graph, GraphSettings())
    with pytest.raises(DataError, match=r"at least 40% must.*; graph\.checks\.min_match_rate sets the least"):
        check_rows(raw, graph, GraphSettings(min_match_rate=0.1, checks={"min_match_rate": 0.4}))
    tables, links, isolated = check_rows(raw, graph, GraphSettings(checks={"min_match_rate": 0.2}))
    assert (links[0].edges, links[0].dangling, links[0].parent_match_rate) == (1, 2, 0.5)
    assert isolated == {"parents": 1, "rows": None} and tables["rows"].duplicates == 1


def test_duplicates_and_times_out_of_range_are_counted(spark):
    # Null and text are no duplicates of each other, nor are values that stand in other columns.
    columns = {"x": ["a", "a", None, "b", "b", "b"], "y": [None, None, "a", "b", "b", "b"]}
    events = raw_table(spark, Table("facts"), [1, 1, 1, 5, 5, 9], **columns)
    keyed = raw_table(spark, Table("keyed", primary_key="k"), [1, None, 10], k=[1, 2, 3])
    figures = check_tables({"facts": events, "keyed": keyed}, (2, 9))
    assert (figures["facts"].duplicates, figures["facts"].out_of_range) == (2, 3)
    assert (figures["keyed"].duplicates, figures["keyed"].out_of_range) == (0, 2)
    assert check_tables({"facts": events})["facts"].out_of_range is None


def test_duplicates_of_a_large_table_are_estimated_from_whole_sets_of_copies(spark):
    values = [i // 4 for i in range(4000)]
    events = raw_table(spark, Table("facts"), x=values)
    assert check_tables({"facts": events})["facts"].duplicates == 3000
    estimate = count_repeats(events.frame, F.xxhash64("x"), len(values), compared=1000)
    # A quarter of the sets of four: three duplicates each, times four.
    assert estimate % 12 == 0 and estimate == pytest.approx(3000, rel=0.2)


def test_isolated_rows_are_those_that_no_link_touches(spark):
    # d is named by nothing and names nothing, e names a parent that is not there, f is named by a child.
    nodes = {"k": list("abcdef"), "up": ["b", None, "a", None, "zz", None]}
    raw = {
        "nodes": raw_table(spark, Table("nodes", primary_key="k", foreign_keys={"up": "nodes"}), **nodes),
        "rows": raw_table(spark, Table("rows", foreign_keys={"k": "nodes"}), k=["f", "f", None, "qq", "a"]),
    }
    graph = GraphSchema([table.table for table in raw.values()])
    _, links, isolated = check_rows(raw, graph, GraphSettings())
    assert isolated == {"nodes": 2, "rows": None}
    # The links' figures alone tell it of a table that one link touches.
    assert count_isolated({}, links) == {}
    assert count_isolated(raw, [link for link in links if link.table == "rows"])["nodes"] == 4


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(0, 5), st.integers(0, 3))
def test_quantiles_equal_those_of_numpy(degrees, nulls, dangling):
    counted = pd.Series([d for d in degrees if d]).value_counts()
    rows = [{"end": "matched", "degree": d, "keys": n, "example": "m"} for d, n in counted.items()]
    rows += [{"end": "null", "degree": nulls, "keys": 1, "example": None}] if nulls else []
    rows += [{"end": "dangling", "degree": 2, "keys": dangling, "example": "d"}] if dangling else []
    found = DegreeHistogram.of(rows, len(degrees))
    assert found.rows == {"matched": sum(degrees), "null": nulls, "dangling": 2 * dangling}
    assert (found.matched, found.largest) == (sum(d > 0 for d in degrees), max(degrees))
    assert found.example == ("d" if dangling else None)
    wanted = np.percentile(degrees, [50, 90, 99], method="inverted_cdf")
    assert list(found.quantiles().values()) == wanted.tolist()

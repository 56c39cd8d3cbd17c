"""Features have the statistics of the training period, as pandas works them out."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gnnscale.etl.nodes.column_features import COMPARED, SKEWED, encode_features, feature_types, fit_features
from gnnscale.etl.nodes.list_columns import CLIP
from gnnscale.etl.sources.raw_tables import TIME
from gnnscale.schema import ColumnType, FeatureManifest, GnnscaleError, GraphSchema, Table
from tests.etl.frames import frame_of, raw_table

RNG = np.random.default_rng(5)
TIMES = [*range(30), *range(100, 110)]
FIT_UNTIL = 29
"""Thirty rows are in the training period and ten later."""

PLAIN = RNG.normal(50, 7, 40)
SKEW = np.exp(RNG.normal(0, 2, 40))
SKEW[0] = 1e4
# What comes later is far off, so that counting it would show.
PLAIN[30:] += 1e6
SKEW[30:] *= -1e6


def shop_facts(spark):
    plain = [None if i % 10 == 3 else float(x) for i, x in enumerate(PLAIN)]
    skew = [None if i == 7 else float(x) for i, x in enumerate(SKEW)]
    colors = [["red", "blue", "blue", None][i % 4] if i < 30 else "late" for i in range(40)]
    return raw_table(
        spark, Table("facts", time_column="t"), TIMES, plain=plain, skew=skew, color=colors, flat=[2.0] * 40
    )


KINDS = {
    "plain": ColumnType.NUMERICAL,
    "skew": ColumnType.NUMERICAL,
    "color": ColumnType.CATEGORICAL,
    "flat": ColumnType.NUMERICAL,
}


def fitted(spark, **limits) -> dict[str, FeatureManifest]:
    found = fit_features(shop_facts(spark), KINDS, limits.get("until", FIT_UNTIL), limits.get("most", 10))
    assert [f.column for f in found] == list(KINDS)
    return {f.column: f for f in found}


def test_statistics_are_those_of_the_training_period(spark):
    period = shop_facts(spark).frame.toPandas().iloc[:30]
    found = fitted(spark)
    assert not found["plain"].log and found["skew"].log
    assert abs(period["plain"].skew()) < SKEWED < abs(period["skew"].skew())
    assert found["plain"].mean == pytest.approx(period["plain"].mean())
    assert found["plain"].std == pytest.approx(period["plain"].std(ddof=0))
    logged = np.sign(period["skew"]) * np.log1p(period["skew"].abs())
    assert found["skew"].mean == pytest.approx(logged.mean())
    assert found["skew"].std == pytest.approx(logged.std(ddof=0))
    assert found["plain"].missing == pytest.approx(0.1)
    assert found["skew"].missing == pytest.approx(1 / 30)
    assert (found["flat"].mean, found["flat"].std) == (2.0, 1.0)


def test_without_an_end_every_row_counts(spark):
    found = fitted(spark, until=None)
    assert found["plain"].mean == pytest.approx(shop_facts(spark).frame.toPandas()["plain"].mean())
    assert "late" in found["color"].categories


def test_many_categories_are_coded_as_few_are_and_columns_keep_their_order(spark):
    names = [f"c{i:02d}" for i in range(COMPARED + 1)]
    many = FeatureManifest("many", ColumnType.CATEGORICAL, categories=tuple(names))
    few = FeatureManifest("few", ColumnType.CATEGORICAL, categories=tuple(names[:COMPARED]))
    none, number = FeatureManifest("none", ColumnType.CATEGORICAL), FeatureManifest("number", ColumnType.NUMERICAL)
    values = [*names, "unknown", None]
    columns = dict.fromkeys(("few", "many", "none"), values) | {"number": [0.0] * len(values)}
    frame = frame_of(spark, i=range(len(values)), **columns)
    rows = encode_features(frame, (few, many, number, none), ("i",)).orderBy("i").toPandas()
    assert list(rows) == ["i", "num_number", "cat_few", "cat_many", "cat_none"]
    codes = [*range(1, COMPARED + 2), 0, 0]
    assert rows["cat_many"].tolist() == codes
    assert rows["cat_few"].tolist() == [code if code <= COMPARED else 0 for code in codes]
    assert not rows["cat_none"].any()
    assert {str(rows[f"cat_{name}"].dtype) for name in ("few", "many", "none")} == {"int32"}


def test_categories_come_most_frequent_first_then_by_name(spark):
    assert fitted(spark)["color"].categories == ("blue", "red")
    assert fitted(spark, most=1)["color"].categories == ("blue",)
    tied = raw_table(spark, Table("facts"), x=["b", "a", "c", "c"])
    assert fit_features(tied, {"x": ColumnType.CATEGORICAL}, None, 10)[0].categories == ("c", "a", "b")


def test_encoded_values_follow_from_the_statistics(spark):
    raw = shop_facts(spark)
    found = fitted(spark)
    rows = encode_features(raw.frame, tuple(found.values())).toPandas().sort_values(TIME).reset_index(drop=True)
    before = raw.frame.toPandas().sort_values(TIME).reset_index(drop=True)
    logged = np.sign(before["skew"]) * np.log1p(before["skew"].abs())
    for column, values in (("plain", before["plain"]), ("skew", logged)):
        expected = ((values - found[column].mean) / found[column].std).clip(-CLIP, CLIP).fillna(0.0)
        np.testing.assert_allclose(rows[f"num_{column}"], expected.astype(np.float32), rtol=1e-5, atol=1e-6)
        assert rows[f"num_{column}"].dtype == np.float32
    period = rows[rows[TIME] <= FIT_UNTIL]["num_plain"]
    assert period.mean() == pytest.approx(0, abs=1e-5)
    assert (rows["num_flat"] == 0).all()
    codes = before["color"].map({"blue": 1, "red": 2}).fillna(0).astype(int)
    assert rows["cat_color"].tolist() == codes.tolist()
    assert set(codes) == {0, 1, 2} and (before["color"] == "late").sum() == 10


def test_missing_is_zero_and_unknown_is_code_zero(spark):
    features = (
        FeatureManifest("x", "numerical", mean=5.0, std=2.0),
        FeatureManifest("c", "categorical", categories=("a", "b")),
        FeatureManifest("d", "categorical"),
    )
    frame = frame_of(spark, i=[0, 1, 2], x=[None, float("nan"), 9.0], c=[None, "z", "b"], d=["q", "r", None])
    rows = encode_features(frame, features).orderBy("i").collect()
    assert [row["num_x"] for row in rows] == [0.0, 0.0, 2.0]
    assert [row["cat_c"] for row in rows] == [0, 0, 2]
    assert [row["cat_d"] for row in rows] == [0, 0, 0]


def test_numbers_and_truth_values_can_be_categories(spark):
    raw = raw_table(spark, Table("t"), a=[3, 3, 1], b=[True, None, True])
    kinds = {"a": ColumnType.CATEGORICAL, "b": ColumnType.CATEGORICAL}
    found = fit_features(raw, kinds, None, 10)
    assert [f.categories for f in found] == [("3", "1"), ("true",)]
    rows = encode_features(raw.frame, found).toPandas()
    assert rows["cat_a"].tolist() == [1, 1, 2] and rows["cat_b"].tolist() == [1, 0, 1]


def test_times_are_features_in_days(spark):
    stamps = pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-05", None], utc=True)
    raw = raw_table(spark, Table("t"), since=pa.array(stamps))
    found = fit_features(raw, {"since": ColumnType.TIMESTAMP}, None, 10)[0]
    assert found.mean == 19_725 and found.std == pytest.approx(np.sqrt(8 / 3))
    rows = encode_features(raw.frame, (found,)).toPandas()["num_since"]
    np.testing.assert_allclose(rows, np.array([-2, 0, 2, 0]) / found.std, rtol=1e-6)


def test_types_follow_the_declaration_then_the_physical_type(spark):
    declared = {"code": ColumnType.CATEGORICAL, "junk": ColumnType.IGNORE}
    table = Table("t", primary_key="k", time_column="at", columns=declared)
    graph = GraphSchema([table, Table("u", primary_key="u_id")])
    graph.add_link("t", "ref", "u")
    raw = raw_table(
        spark,
        table,
        k=[1],
        at=[1],
        ref=[1],
        code=[5],
        junk=["x"],
        size=[1.5],
        name=["a"],
        flag=[True],
        day=pa.array([0], pa.date32()),
        many=[[1]],
    )
    assert feature_types(raw, graph) == {
        "code": "categorical",
        "size": "numerical",
        "name": "categorical",
        "flag": "categorical",
        "day": "timestamp",
    }


@pytest.mark.parametrize("kind", [ColumnType.NUMERICAL, ColumnType.TIMESTAMP])
def test_text_that_is_declared_a_number_or_time_is_an_error_that_names_it(spark, kind):
    raw = raw_table(spark, Table("t", columns={"name": kind}), name=["a", "b"])
    with pytest.raises(GnnscaleError, match="name"):
        fit_features(raw, {"name": kind}, None, 10)


def test_infinite_values_do_not_spoil_the_others(spark):
    raw = raw_table(spark, Table("t"), x=[1.0, 2.0, 3.0, float("inf")])
    found = fit_features(raw, {"x": ColumnType.NUMERICAL}, None, 10)
    rows = encode_features(raw.frame, found).toPandas()["num_x"]
    assert np.isfinite(rows).all()
    assert len(set(rows[:3])) == 3


def late(features) -> list[str]:
    return [feature.column for feature in features if feature.late]


def test_times_that_come_after_their_rows_are_warned_of(spark, caplog: pytest.LogCaptureFixture):
    days = pa.array([5, 5, None, 0], pa.date32())
    kinds = dict.fromkeys(("back", "due", "born"), ColumnType.TIMESTAMP)
    declared = Table("loans", time_column="at", columns={"due": ColumnType.TIMESTAMP})
    before = pa.array([0, 0, 0, 5], pa.date32())
    raw = raw_table(spark, declared, [86_400] * 4, back=days, due=days, born=before)
    assert late(fit_features(raw, kinds, None, 10)) == ["back"]
    advice = "tables.loans.columns.back=ignore (a type says that it is known), and --force where there is a graph"
    assert [record.getMessage() for record in caplog.records] == [
        "loans.back is later than the row in 2 of 3 rows that have it: inputs hold back from the row's own time on. "
        f"What is not known by then must be none: {advice}; query.known_after=back, where it says when a row's answer "
        "is known, hides it too"
    ]
    caplog.clear()
    assert late(fit_features(raw, kinds, None, 10, hidden={"back"})) == ["back"] and not caplog.records
    assert not late(fit_features(raw_table(spark, Table("loans"), back=days), {"back": kinds["back"]}, None, 10))
    assert not caplog.records


def test_what_is_there_exactly_where_a_late_time_is_is_late_too(spark, caplog: pytest.LogCaptureFixture):
    days = pa.array([5, 5, None, 5], pa.date32())
    told = {"fine": [1.0, 0.0, float("nan"), 2.0], "shelf": ["a", "b", None, "c"], "fee": [1.0, 2.0, 3.0, None]}
    kinds = {"back": ColumnType.TIMESTAMP} | dict.fromkeys(("fine", "fee"), ColumnType.NUMERICAL)
    kinds |= {"shelf": ColumnType.CATEGORICAL}
    whole = {"back": pa.array([5, 5, 6, 5], pa.date32()), "fee": [1.0, 2.0, 3.0, 4.0]}
    known = Table("loans", time_column="at", columns={"shelf": ColumnType.CATEGORICAL})
    found = fit_features(raw_table(spark, known, [86_400] * 4, back=days, **told), kinds, None, 10)
    assert late(found) == ["back", "fine"]
    assert (
        "in 3 of 3 rows that have it, and fine is there exactly where it is: inputs hold back, fine from" in caplog.text
    )
    caplog.clear()
    # The query hides the time, by which it was known, but not what came with it.
    raw = raw_table(spark, Table("loans", time_column="at"), [86_400] * 4, back=days, **told)
    assert late(fit_features(raw, kinds, None, 10, hidden={"back"})) == ["back", "fine", "shelf"]
    assert "and fine, shelf are there exactly where it is" in caplog.text
    assert "tables.loans.columns.fine=ignore" in caplog.text and "known_after" not in caplog.text
    assert "inputs hold fine, shelf from" in caplog.text
    # What somebody has said is known in time says nothing of what comes with it.
    declared = Table("loans", time_column="at", columns={"back": ColumnType.TIMESTAMP})
    caplog.clear()
    assert not late(fit_features(raw_table(spark, declared, [86_400] * 4, back=days, **told), kinds, None, 10))
    assert not caplog.records
    # Of what every row has, nobody can tell.
    both = dict.fromkeys(("back", "fee"))
    raw = raw_table(spark, Table("loans", time_column="at"), [86_400] * 4, **whole)
    assert late(fit_features(raw, {name: kinds[name] for name in both}, None, 10)) == ["back"]

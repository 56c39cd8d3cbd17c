"""Codes and vectors follow from the training period, worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.etl.nodes.column_features import encode_features, feature_types, fit_features
from gnnscale.etl.nodes.list_columns import CLIP, ROWS, encode_lists
from gnnscale.etl.sources.raw_tables import TIME
from gnnscale.etl.spark.session import open_session
from gnnscale.etl.text.hashed_encoder import HashedEncoder
from gnnscale.schema import ColumnType, DataError, FeatureManifest, GraphSchema, SchemaError, Table
from tests.conftest import SPARK
from tests.etl.frames import raw_table

FIT_UNTIL = 3
TIMES = [0, 1, 2, 3, 8, 9]
"""Four rows are in the training period and two later."""

TAGS = [["b", "a", "b"], ["b", None, ""], None, ["c"], ["c", "c", "a", "new"], ["new"]]
WORDS = ["b| a ||b", "b", None, " c|", "c|a|new", "|"]
CODES = [[1, 2], [1], [], [3], [2, 3], []]
"""Of the training period, "b" is in two rows, and "a" and "c" in one each."""

VECTORS = [[1.0, 5.0], [3.0, 5.0], None, [5.0, 5.0], [1e6, -1e6], [3.0, 5.0]]

KINDS = {
    "tags": ColumnType.MULTICATEGORICAL,
    "words": ColumnType.MULTICATEGORICAL,
    "title": ColumnType.TEXT,
    "vector": ColumnType.EMBEDDING,
}


def raw(spark, later: int | None = None):
    """The rows; ``later`` leaves out those after so many."""
    columns = {
        "tags": pa.array(TAGS, pa.list_(pa.string())),
        "words": pa.array(WORDS),
        "title": pa.array(["Red shoe", "red shoes", None, "", "green tea", "..."]),
        "vector": pa.array(VECTORS, pa.list_(pa.float32())),
    }
    table = Table("items", time_column="t", columns=KINDS, separators={"words": "|"})
    return raw_table(spark, table, TIMES[:later], **{name: column[:later] for name, column in columns.items()})


def encoded(raw, features):
    frame = encode_lists(encode_features(raw.frame, features), features, HashedEncoder(16))
    return frame.toPandas().sort_values(TIME).reset_index(drop=True)


@pytest.fixture(scope="module")
def features() -> tuple[FeatureManifest, ...]:
    """Fit on the training period."""
    return fit_features(raw(open_session(SPARK)), KINDS, FIT_UNTIL, 10, text_dims=16)


@pytest.fixture(scope="module")
def rows(features):
    """The rows as they are encoded, in order of time."""
    return encoded(raw(open_session(SPARK)), features)


def test_statistics_are_those_of_the_training_period(spark, features):
    assert features == fit_features(raw(spark, later=4), KINDS, None, 10, text_dims=16)
    tags, words, title, vector = features
    assert tags.categories == words.categories == ("b", "a", "c")
    assert (tags.separator, words.separator) == ("", "|")
    assert (tags.missing, words.missing, title.missing, vector.missing) == (0.25, 0.25, 0.25, 0.25)
    assert vector.dims == 2 and title.dims == 16
    assert vector.means == (3.0, 5.0)
    # A dimension that does not vary keeps its scale.
    assert vector.stds == (pytest.approx(np.sqrt(8 / 3)), 1.0)


def test_the_most_frequent_values_are_kept(spark):
    kinds = {"tags": ColumnType.MULTICATEGORICAL}
    assert fit_features(raw(spark), kinds, None, 2)[0].categories == ("a", "b")


def test_values_become_sorted_distinct_codes_and_unknown_ones_are_dropped(rows):
    assert [list(codes) for codes in rows["multi_tags"]] == CODES
    assert [list(codes) for codes in rows["multi_words"]] == CODES
    assert not [name for name in rows.columns if name.startswith("in|")]


def test_vectors_are_standardised_and_clipped_and_null_is_zero(rows):
    std = np.sqrt(8 / 3)
    expected = [[-2 / std, 0], [0, 0], [0, 0], [2 / std, 0], [CLIP, -CLIP], [0, 0]]
    np.testing.assert_allclose(np.stack(rows["emb_vector"]), expected, rtol=1e-6)
    assert rows["emb_vector"][0].dtype == np.float32


def test_texts_are_the_encoders_vectors(rows):
    found = np.stack(rows["emb_title"])
    titles = pa.array(["Red shoe", "red shoes", None, "", "green tea", "..."])
    np.testing.assert_array_equal(found, HashedEncoder(16).encode(titles))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 0, 1, 0], atol=1e-6)


def test_a_column_may_be_called_as_anothers_encoding_is(spark):
    table = Table("t", columns={"x": ColumnType.TEXT})
    rows = raw_table(spark, table, [0], x=["word"], emb_x=pa.array([[2.0]]), multi_x=[["a"]], num_y=[4.0], y=[1.0])
    kinds = feature_types(rows, GraphSchema([table]))
    features = fit_features(rows, kinds, None, 10, text_dims=4)
    kept = [TIME]
    frame = encode_lists(encode_features(rows.frame, features, kept), features, HashedEncoder(4))
    assert set(frame.columns) == {TIME, "emb_x", "emb_emb_x", "multi_multi_x", "num_num_y", "num_y"}
    row = frame.first()
    assert len(row["emb_x"]) == 4 and row["emb_emb_x"] == [0.0] and row["multi_multi_x"] == [1]


def test_a_batch_is_cut_into_pieces_and_rows_stay_in_order(spark):
    count = ROWS + 5
    rows = raw_table(spark, Table("t"), list(range(count)), x=[[float(i % 7)] for i in range(count)])
    kinds = {"x": ColumnType.EMBEDDING}
    features = fit_features(rows, kinds, None, 10)
    frame = encode_lists(encode_features(rows.frame.coalesce(1), features), features, HashedEncoder(4))
    found = frame.toArrow()
    assert found[TIME].to_pylist() == list(range(count))
    values = np.array(found["emb_x"].to_pylist())[:, 0]
    raw_values = np.arange(count) % 7
    np.testing.assert_allclose(values, (raw_values - raw_values.mean()) / raw_values.std(), atol=1e-5)
    assert features[0].stds == (pytest.approx(raw_values.std()),)


def test_numbers_can_be_values_and_a_separator_may_mean_something_in_a_pattern(spark):
    table = Table("t", separators={"dots": ".\\E"})
    rows = raw_table(spark, table, [0, 1], sizes=[[38, 40], [40]], dots=["a.\\Eb", "b.\\E c"], parts=["x,y", "y , z"])
    kinds = dict.fromkeys(("sizes", "dots", "parts"), ColumnType.MULTICATEGORICAL)
    features = fit_features(rows, kinds, None, 10)
    assert [f.categories for f in features] == [("40", "38"), ("b", "a", "c"), ("y", "x", "z")]
    found = encoded(rows, features)
    assert [list(codes) for codes in found["multi_sizes"]] == [[1, 2], [1]]
    assert [list(codes) for codes in found["multi_dots"]] == [[1, 2], [1, 3]]


def test_arrays_of_text_are_values_and_arrays_of_floats_are_vectors_unless_declared(spark):
    table = Table("t", columns={"prose": ColumnType.TEXT})
    rows = raw_table(
        spark,
        table,
        tags=[["a"]],
        doubles=[[1.0]],
        floats=pa.array([[1.0]], pa.list_(pa.float32())),
        whole=[[1]],
        flags=[[True]],
        nested=[[["a"]]],
        name=["a"],
        prose=["a"],
    )
    assert feature_types(rows, GraphSchema([table])) == {
        "tags": "multicategorical",
        "doubles": "embedding",
        "floats": "embedding",
        "name": "categorical",
        "prose": "text",
    }


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        (ColumnType.MULTICATEGORICAL, [1.5], r"t.x is declared multicategorical and holds double"),
        (ColumnType.MULTICATEGORICAL, [[["a"]]], r"holds array<array<string>>; declare it ignore"),
        (ColumnType.TEXT, [["a"]], r"t.x is declared text and holds array<string>"),
        (ColumnType.TEXT, [1], r"t.x is declared text and holds bigint; declare it categorical or ignore"),
        (ColumnType.EMBEDDING, ["1 2"], r"t.x is declared embedding and holds string"),
        (ColumnType.EMBEDDING, [["a"]], r"t.x is declared embedding and holds array<string>"),
    ],
)
def test_a_column_that_holds_something_else_is_an_error_that_names_it(spark, kind, values, says):
    with pytest.raises(SchemaError, match=says):
        fit_features(raw_table(spark, Table("t"), x=values), {"x": kind}, None, 10)


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (
            [[1.0, 2.0], [3.0, 4.0], [1.0], None],
            r"t.x: vectors must be of one length, and there are 2 numbers in 2 rows, 1 numbers in 1 rows. Mend",
        ),
        ([[1.0], []], r"0 numbers in 1 rows, 1 numbers in 1 rows"),
        ([[1.0, float("nan")], [1.0, 2.0]], r"t.x: 1 of 2 vectors of 2 numbers hold a NaN"),
        ([[1.0, None], [float("inf"), 2.0]], r"t.x: 2 of 2 vectors of 2 numbers hold a NaN"),
    ],
)
def test_vectors_that_do_not_fit_are_an_error_though_they_come_late(spark, vectors, says):
    rows = raw_table(spark, Table("t"), [0, 9, 9, 9][: len(vectors)], x=pa.array(vectors, pa.list_(pa.float64())))
    with pytest.raises(DataError, match=says):
        fit_features(rows, {"x": ColumnType.EMBEDDING}, 5, 10)


def test_a_column_without_a_single_vector_is_zeros(spark):
    rows = raw_table(spark, Table("t"), [0, 1], x=pa.array([None, None], pa.list_(pa.float32())))
    features = fit_features(rows, {"x": ColumnType.EMBEDDING}, None, 10)
    assert (features[0].dims, features[0].missing) == (1, 1.0)
    assert [list(v) for v in encoded(rows, features)["emb_x"]] == [[0.0], [0.0]]

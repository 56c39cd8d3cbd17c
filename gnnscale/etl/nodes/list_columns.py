"""Columns that become lists: codes of multicategorical columns, vectors of text and embedding columns.

They are worked on as Arrow batches in Python: Spark's own functions on arrays go element by element, and a model wants
many texts at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.sources.raw_tables import TIME, RawTable
from gnnscale.etl.text import TextVectors
from gnnscale.schema import ColumnType, DataError, FeatureManifest

INPUT = "in|"
"""Prefix of the columns that the encodings here are made from."""

CLIP = 10.0
"""Encoded numbers are kept within this many standard deviations of the mean."""

ROWS = 8_192
"""Rows that are encoded at once: of vectors, a batch of Spark's would be too many."""

LISTS = (ColumnType.MULTICATEGORICAL, ColumnType.TEXT, ColumnType.EMBEDDING)

_SUMMARY = T.StructType(
    [
        T.StructField("place", T.IntegerType()),
        T.StructField("length", T.IntegerType()),
        T.StructField("rows", T.LongType()),
        T.StructField("faulty", T.LongType()),
        T.StructField("fitted", T.LongType()),
        T.StructField("mean", T.ArrayType(T.DoubleType())),
        T.StructField("spread", T.ArrayType(T.DoubleType())),
    ]
)


def list_values(column: str | Column, physical: T.DataType, separator: str) -> Column:
    """The distinct values of each row of a multicategorical column, as array<string>; empty where there are none.

    Null and empty values don't count. Text is split at the separator, and spaces around its values don't count either.
    """
    values = F.col(column) if isinstance(column, str) else column
    if isinstance(physical, T.ArrayType):
        if isinstance(physical.elementType, T.FloatType | T.DoubleType):
            values = F.filter(values, lambda value: ~F.isnan(value))
        values = F.transform(values, lambda value: value.cast("string"))
    else:
        # Java takes a separator for a pattern, in which a backslash makes every sign stand for itself.
        pattern = "".join(sign if sign.isalnum() else f"\\{sign}" for sign in separator)
        values = F.transform(F.split(values, pattern), lambda value: F.trim(value))
    named = F.filter(values, lambda value: value.isNotNull() & (value != ""))
    return F.coalesce(F.array_distinct(named), F.array().cast("array<string>"))


def list_input(frame: DataFrame, feature: FeatureManifest) -> Column:
    """What :func:`encode_lists` makes the feature from."""
    column = F.col(feature.column)
    if feature.type == ColumnType.MULTICATEGORICAL:
        column = list_values(feature.column, frame.schema[feature.column].dataType, feature.separator)
    return column.alias(f"{INPUT}{feature.column}")


def fit_embeddings(raw: RawTable, columns: Sequence[str], fit_until: int | None) -> dict[str, FeatureManifest]:
    """Length, and mean and deviation of each dimension, of embedding columns.

    Args:
        raw: the table.
        columns: of arrays of numbers.
        fit_until: epoch seconds; rows stamped later are checked, and don't count for the statistics. None counts all.

    Raises:
        DataError: the vectors of a column differ in length, or hold what is no finite number.
    """
    if not columns:
        return {}
    fitted = F.lit(True) if fit_until is None else F.col(TIME).isNull() | (F.col(TIME) <= fit_until)
    frame = raw.frame.select(fitted.alias("fitted"), *columns)
    rows = frame.mapInArrow(_summarise, _SUMMARY).collect()
    features = {}
    for place, name in enumerate(columns):
        found: dict[int, _Moments] = {}
        for row in rows:
            if row["place"] == place:
                part = _Moments(
                    row["rows"], row["faulty"], row["fitted"], np.array(row["mean"]), np.array(row["spread"])
                )
                found[row["length"]] = found[row["length"]].merge(part) if row["length"] in found else part
        features[name] = _embedding(raw.table.name, name, found)
    return features


def encode_lists(frame: DataFrame, features: Sequence[FeatureManifest], encoder: TextVectors) -> DataFrame:
    """Replace the inputs of list columns by what they are encoded as; rows stay where they are, in their order.

    Args:
        frame: from :func:`gnnscale.etl.nodes.column_features.encode_features`, which has made their inputs.
        features: of the table; those that are no lists are passed over.
        encoder: of text columns.

    Returns:
        The frame with ``multi_<column>`` (array<int>, sorted distinct codes; empty for null, empty and unknown values)
        and ``emb_<column>`` (array<float>): of text, vectors of length 1, or zeros; of embeddings, each dimension with
        mean 0 and deviation 1, within ``CLIP``, or zeros, the mean, for null.
    """
    lists = [f for f in features if f.type in LISTS]
    if not lists:
        return frame
    kept = [field for field in frame.schema if not field.name.startswith(INPUT)]
    elements = {ColumnType.MULTICATEGORICAL: T.IntegerType()}
    made = [T.StructField(f.encoded, T.ArrayType(elements.get(ColumnType(f.type), T.FloatType()))) for f in lists]
    encode = partial(_encode, kept=[field.name for field in kept], features=lists, encoder=encoder)
    return frame.mapInArrow(encode, T.StructType([*kept, *made]))


def _encode(
    batches: Iterator[pa.RecordBatch], kept: list[str], features: list[FeatureManifest], encoder: TextVectors
) -> Iterator[pa.RecordBatch]:
    for whole in batches:
        for start in range(0, whole.num_rows, ROWS):
            batch = whole.slice(start, ROWS)
            columns = {name: batch.column(name) for name in kept}
            for feature in features:
                column = batch.column(f"{INPUT}{feature.column}")
                if feature.type == ColumnType.MULTICATEGORICAL:
                    columns[feature.encoded] = encode_values(column, feature.categories)
                else:
                    text = feature.type == ColumnType.TEXT
                    vectors = encoder.encode(column) if text else standardise(column, feature)
                    columns[feature.encoded] = _list_array(vectors)
            yield pa.RecordBatch.from_pydict(columns)


def encode_values(values: pa.Array, categories: Sequence[str]) -> pa.Array:
    """Distinct values of each row to their sorted codes, array<int>; code i + 1 stands for the i-th category."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    place = pc.index_in(values.flatten(), value_set=pa.array(categories, pa.string()))
    codes = pc.fill_null(place, -1).to_numpy(zero_copy_only=False) + 1
    row = np.repeat(np.arange(len(values)), lengths)
    known = codes > 0
    codes, row = codes[known], row[known]
    codes = codes[np.lexsort((codes, row))]
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=len(values)), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(codes.astype(np.int32)))


def standardise(column: pa.Array, feature: FeatureManifest) -> NDArray[np.float32]:
    """Vectors of an embedding column by its statistics, float32 ``[rows, dims]``; zeros for null."""
    found = np.zeros((len(column), feature.dims), np.float32)
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, feature.dims)
    scaled = (vectors - np.array(feature.means)) / np.array(feature.stds)
    found[pc.is_valid(column).to_numpy(zero_copy_only=False)] = np.clip(scaled, -CLIP, CLIP)
    return found


def _list_array(vectors: NDArray[np.float32]) -> pa.Array:
    rows, dims = vectors.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * dims), pa.array(vectors.ravel()))


@dataclass(frozen=True)
class _Moments:
    """Figures of the vectors of one length.

    Args:
        rows: their number; ``faulty``: of those with what is no number; ``fitted``: of those that statistics count.
        mean, spread: of the fitted vectors, and their summed squared distances to it, float64 ``[length]``.
    """

    rows: int
    faulty: int
    fitted: int
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    def merge(self, other: _Moments) -> _Moments:
        """Both together (Chan, Golub and LeVeque, 1979: equation 2.1), which cancels nothing as sums of squares do."""
        fitted = self.fitted + other.fitted
        share = other.fitted / max(1, fitted)
        apart = other.mean - self.mean
        return _Moments(
            self.rows + other.rows,
            self.faulty + other.faulty,
            fitted,
            self.mean + share * apart,
            self.spread + other.spread + self.fitted * share * apart**2,
        )


def _summarise(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Moments by column and length of one partition; columns ``fitted``, then the embeddings."""
    found: dict[tuple[int, int], _Moments] = {}
    for batch in batches:
        fitted = batch.column(0).to_numpy(zero_copy_only=False)
        for place, column in enumerate(batch.columns[1:]):
            there = pc.is_valid(column).to_numpy(zero_copy_only=False)
            lengths = pc.list_value_length(column.drop_null()).to_numpy(zero_copy_only=False)
            # A null element becomes NaN.
            values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
            starts = np.cumsum(lengths, dtype=np.int64) - lengths
            for length in np.unique(lengths):
                own = lengths == length
                vectors = values[starts[own][:, None] + np.arange(length)]
                part = _moments(vectors, fitted[there][own])
                key = (place, int(length))
                found[key] = found[key].merge(part) if key in found else part
    rows = [
        {"place": place, "length": length, **{name: getattr(m, name) for name in ("rows", "faulty", "fitted")}}
        | {"mean": m.mean.tolist(), "spread": m.spread.tolist()}
        for (place, length), m in found.items()
    ]
    schema = pa.schema(
        [("place", pa.int32()), ("length", pa.int32())]
        + [(name, pa.int64()) for name in ("rows", "faulty", "fitted")]
        + [(name, pa.list_(pa.float64())) for name in ("mean", "spread")]
    )
    yield pa.RecordBatch.from_pylist(rows, schema)


def _moments(vectors: NDArray[np.float64], fitted: NDArray[np.bool_]) -> _Moments:
    sound = np.isfinite(vectors).all(axis=1)
    counted = vectors[sound & fitted]
    mean = counted.mean(axis=0) if len(counted) else np.zeros(vectors.shape[1])
    return _Moments(len(vectors), int((~sound).sum()), len(counted), mean, ((counted - mean) ** 2).sum(axis=0))


def _embedding(table: str, name: str, found: dict[int, _Moments]) -> FeatureManifest:
    if len(found) > 1 or 0 in found:
        lengths = sorted(found, key=lambda length: (-found[length].rows, length))
        shown = ", ".join(f"{length} numbers in {found[length].rows:,} rows" for length in lengths[:5])
        raise DataError(
            f"embedding column {table}.{name}: vectors must be of one length, and there are {shown}"
            f"{' and more' if len(lengths) > 5 else ''}. Mend them in the source (null for no vector), or declare the "
            "column ignore"
        )
    # A column without a single vector is one dimension of zeros.
    feature = FeatureManifest(name, ColumnType.EMBEDDING, dims=1, means=(0.0,), stds=(1.0,))
    for length, m in found.items():
        if m.faulty:
            raise DataError(
                f"embedding column {table}.{name}: {m.faulty:,} of {m.rows:,} vectors of {length} numbers hold a NaN, "
                "an infinity or a null. Mend them in the source (null for no vector), or declare the column ignore"
            )
        std = np.sqrt(m.spread / max(1, m.fitted))
        # A dimension that does not vary has rounding for its deviation.
        std = np.where(std > 1e-9 * np.maximum(1, np.abs(m.mean)), std, 1.0)
        feature = replace(feature, dims=length, means=tuple(m.mean.tolist()), stds=tuple(std.tolist()))
    return feature

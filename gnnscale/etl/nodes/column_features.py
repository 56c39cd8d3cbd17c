"""Encoded features: statistics fit on the training period, values turned into numbers by them."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.nodes.fit_period import FEW
from gnnscale.etl.nodes.late_columns import late_columns
from gnnscale.etl.nodes.list_columns import CLIP, INPUT, LISTS, fit_embeddings, list_input, list_values
from gnnscale.etl.sources.raw_tables import END, TIME, RawTable, value_kind
from gnnscale.etl.text import HASHED_DIMS
from gnnscale.query import show_time
from gnnscale.schema import SEPARATOR, ColumnType, FeatureManifest, GraphSchema, SchemaError, inferred_meaning

log = logging.getLogger(__name__)

SKEWED = 2.0
"""Skewness past which a numerical column is encoded as sign(x) log(1 + |x|)."""

COMPARED = 32
"""Categories that a value is compared with one by one; a join, which takes a job of its own, looks more of them up."""


def feature_types(raw: RawTable, graph: GraphSchema) -> dict[str, ColumnType]:
    """Which columns become features, and as what; those not declared follow their physical type.

    Text, booleans and numbers that are called ids are categorical, other numbers numerical, times timestamps, arrays
    of text multicategorical and arrays of floating-point numbers embeddings. Text that is prose is not inferred from
    names: declare it ``text``. Arrays of whole numbers may be keys or vectors, so they are left out unless they are
    declared, as are all other types. Keys of other tables are no features, unless they are declared: brands may be
    nodes and categories at once.
    """
    table = raw.table
    linked = {link.column for link in graph.links if link.table == table.name} - set(table.columns)
    taken = {table.primary_key, table.time_column, table.end_time, TIME, END, *linked}
    types: dict[str, ColumnType] = {}
    for column in raw.frame.schema:
        if column.name not in taken:
            meaning = table.columns.get(column.name) or inferred_meaning(column.name, value_kind(column.dataType))
            if meaning not in (None, ColumnType.IGNORE):
                types[column.name] = meaning
    return types


def fit_features(
    raw: RawTable,
    types: dict[str, ColumnType],
    fit_until: int | None,
    max_categories: int,
    text_dims: int = HASHED_DIMS,
    hidden: Collection[str] = (),
    rows: int = 0,
) -> tuple[FeatureManifest, ...]:
    """Statistics of each feature.

    Args:
        raw: the table.
        types: column -> type.
        fit_until: epoch seconds; rows stamped later do not count. None counts all.
        max_categories: most categories a column keeps; rarer values share code 0 with missing ones.
        text_dims: length of the vectors of text columns.
        hidden: columns that the query at hand does not see, of which it needs no warning.
        rows: of the table; where hardly any of them counts, that is told.

    Raises:
        SchemaError: a column is declared as what its values are not.
        DataError: the vectors of an embedding column differ in length, or hold what is no number.
    """
    _check_types(raw, types)
    period = raw.frame
    if fit_until is not None:
        period = period.where(F.col(TIME).isNull() | (F.col(TIME) <= fit_until))
    numbers = [name for name, kind in types.items() if kind in (ColumnType.NUMERICAL, ColumnType.TIMESTAMP)]
    values = {
        name: list_values(name, raw.frame.schema[name].dataType, raw.table.separators.get(name, SEPARATOR))
        for name, kind in types.items()
        if kind is ColumnType.MULTICATEGORICAL
    }
    aggregates = [F.count(F.lit(1)).alias("rows")]
    for name, kind in types.items():
        known = F.nullif(F.size(values[name]), F.lit(0)) if name in values else F.col(name)
        aggregates.append(F.count(known).alias(f"{name}|count"))
        if name in numbers:
            aggregates += _moments(name, _number(name, kind))
        if kind is ColumnType.TIMESTAMP:
            is_later = F.unix_seconds(F.col(name).cast("timestamp")) > F.col(TIME)
            aggregates.append(F.count(F.when(is_later, True)).alias(f"{name}|later"))
    row = period.agg(*aggregates).first()
    assert row is not None
    if fit_until is not None and row["rows"] < FEW * rows:
        _tell_few(raw.table.name, row["rows"], rows, fit_until)
    named = [name for name, kind in types.items() if kind is ColumnType.CATEGORICAL]
    values |= {name: F.array(F.col(name).cast("string")) for name in named}
    categories = _most_frequent(period, values, max_categories)
    embeddings = fit_embeddings(raw, [n for n, kind in types.items() if kind is ColumnType.EMBEDDING], fit_until)
    features = []
    for name, kind in types.items():
        missing = 1 - row[f"{name}|count"] / max(1, row["rows"])
        if name in numbers:
            # Squares of the largest numbers leave the range of 64 bits; their logarithms don't.
            log = not math.isfinite(row[f"{name}|std"] or 0.0) or abs(row[f"{name}|skew"] or 0.0) > SKEWED
            prefix = f"{name}|log_" if log else f"{name}|"
            mean, std = row[f"{prefix}mean"] or 0.0, row[f"{prefix}std"] or 0.0
            features.append(FeatureManifest(name, kind, log, mean, std if std > 1e-9 else 1.0, (), missing))
        elif name in embeddings:
            features.append(replace(embeddings[name], missing=missing))
        elif kind is ColumnType.TEXT:
            features.append(FeatureManifest(name, kind, missing=missing, dims=text_dims))
        else:
            split = kind is ColumnType.MULTICATEGORICAL and isinstance(raw.frame.schema[name].dataType, T.StringType)
            separator = raw.table.separators.get(name, SEPARATOR) if split else ""
            features.append(
                FeatureManifest(name, kind, categories=categories[name], missing=missing, separator=separator)
            )
    times = [name for name, kind in types.items() if kind is ColumnType.TIMESTAMP]
    counts, later = ({name: row[f"{name}|{what}"] for name in times} for what in ("count", "later"))
    late = late_columns(raw, types, counts, later, hidden)
    return tuple(replace(feature, late=feature.column in late) for feature in features)


def _tell_few(table: str, counted: int, rows: int, fit_until: int) -> None:
    log.warning(
        "statistics of the columns of '%s' count %s of its %s rows, those that are stamped by %s: most categories are "
        "unknown, and numbers have no scale; graph.fit_until sets another time",
        *(table, f"{counted:,}", f"{rows:,}", show_time(fit_until)),
    )


def _moments(name: str, value: Column) -> list[Column]:
    logged = F.signum(value) * F.log1p(F.abs(value))
    return [
        F.skewness(value).alias(f"{name}|skew"),
        F.avg(value).alias(f"{name}|mean"),
        F.stddev_pop(value).alias(f"{name}|std"),
        F.avg(logged).alias(f"{name}|log_mean"),
        F.stddev_pop(logged).alias(f"{name}|log_std"),
    ]


def _check_types(raw: RawTable, types: dict[str, ColumnType]) -> None:
    fits = {
        ColumnType.NUMERICAL: (T.NumericType, T.BooleanType),
        ColumnType.TIMESTAMP: (T.TimestampType, T.TimestampNTZType, T.DateType),
        ColumnType.TEXT: (T.StringType,),
        ColumnType.MULTICATEGORICAL: (T.StringType, T.ArrayType),
        ColumnType.EMBEDDING: (T.ArrayType,),
    }
    elements = {
        ColumnType.MULTICATEGORICAL: (T.StringType, T.NumericType),
        ColumnType.EMBEDDING: (T.FloatType, T.DoubleType),
    }
    for name, kind in types.items():
        physical = raw.frame.schema[name].dataType
        fit = kind not in fits or isinstance(physical, fits[kind])
        if fit and kind in elements and isinstance(physical, T.ArrayType):
            fit = isinstance(physical.elementType, elements[kind])
        if not fit:
            other = "ignore" if isinstance(physical, T.ArrayType) else "categorical or ignore"
            raise SchemaError(
                f"column {raw.table.name}.{name} is declared {kind} and holds {physical.simpleString()}; "
                f"declare it {other}, or convert it in the source"
            )


def encode_features(
    frame: DataFrame, features: tuple[FeatureManifest, ...], kept: Sequence[Column | str] = ("*",)
) -> DataFrame:
    """Columns ``num_<column>`` (float, mean 0 and deviation 1) and ``cat_<column>`` (int codes) from raw ones.

    A missing number is encoded as the mean, 0; a missing or unknown category as code 0.

    Args:
        frame: of raw columns.
        features: of the table.
        kept: what else of the frame the result has.

    Returns:
        What is kept, the encoded columns in their order, and what
        :func:`gnnscale.etl.nodes.list_columns.encode_lists` makes the others from.
    """
    # All are made from the raw columns at once: an encoded column may be called as a raw one is.
    inputs: list[Column] = []
    codes: list[Column] = []
    joined: list[FeatureManifest] = []
    for feature in features:
        if feature.type in LISTS:
            inputs.append(list_input(frame, feature))
        elif feature.type != ColumnType.CATEGORICAL:
            inputs.append(_scaled(feature))
        elif len(feature.categories) <= COMPARED:
            codes.append(_place_among(feature))
        else:
            inputs.append(F.col(feature.column).cast("string").alias(f"{INPUT}{feature.column}"))
            joined.append(feature)
    encoded = frame.select(*kept, *inputs, *codes)
    for feature in joined:
        encoded = _encode_category(encoded, feature)
    if not (codes and joined):
        return encoded
    named = [feature.encoded for feature in features if feature.type == ColumnType.CATEGORICAL]
    return encoded.select(*(name for name in encoded.columns if name not in named), *named)


def _scaled(feature: FeatureManifest) -> Column:
    value = _number(feature.column, ColumnType(feature.type))
    value = F.signum(value) * F.log1p(F.abs(value)) if feature.log else value
    scaled = (value - F.lit(feature.mean)) / F.lit(feature.std)
    clipped = F.greatest(F.lit(-CLIP), F.least(F.lit(CLIP), F.coalesce(scaled, F.lit(0.0))))
    return clipped.cast("float").alias(feature.encoded)


def _place_among(feature: FeatureManifest) -> Column:
    """The code of a value among few categories: its place."""
    place = F.array_position(F.array(*map(F.lit, feature.categories)), F.col(feature.column).cast("string"))
    code = F.coalesce(place.cast("int"), F.lit(0)) if feature.categories else F.lit(0)
    return code.alias(feature.encoded)


def _encode_category(frame: DataFrame, feature: FeatureManifest) -> DataFrame:
    name, value = feature.encoded, f"{INPUT}{feature.column}"
    codes = [(value, code) for code, value in enumerate(feature.categories, start=1)]
    schema = T.StructType([T.StructField("_value", T.StringType()), T.StructField(name, T.IntegerType())])
    lookup = F.broadcast(frame.sparkSession.createDataFrame(codes, schema))
    joined = frame.join(lookup, F.col(value) == F.col("_value"), "left")
    return joined.withColumn(name, F.coalesce(F.col(name), F.lit(0))).drop("_value", value)


def _most_frequent(frame: DataFrame, columns: Mapping[str, Column], most: int) -> dict[str, tuple[str, ...]]:
    """Values that the most rows have, from columns of arrays of them."""
    if not columns:
        return {}
    # One pass for all columns, as (column, value) rows.
    lists = [F.transform(values, partial(_pair, column)) for column, values in columns.items()]
    pairs = frame.select(F.explode(F.concat(*lists)).alias("pair")).select("pair.*").dropna()
    counts = pairs.groupBy("column", "value").count()
    order = Window.partitionBy("column").orderBy(F.desc("count"), "value")
    rows = counts.withColumn("place", F.row_number().over(order)).where(F.col("place") <= most).collect()
    found: dict[str, list[tuple[int, str]]] = {column: [] for column in columns}
    for row in rows:
        found[row["column"]].append((row["place"], row["value"]))
    return {column: tuple(value for _, value in sorted(values)) for column, values in found.items()}


def _pair(column: str, value: Column) -> Column:
    return F.struct(F.lit(column).alias("column"), value.alias("value"))


def _number(name: str, kind: ColumnType) -> Column:
    column = F.col(name)
    if kind is ColumnType.TIMESTAMP:
        column = F.unix_seconds(column.cast("timestamp")) / F.lit(86_400)
    value = column.try_cast("double")
    return F.when(F.isnan(value) | (F.abs(value) == float("inf")), F.lit(None)).otherwise(value)

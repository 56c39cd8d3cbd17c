"""Encoded features: statistics fit on the training period, values turned into numbers by them."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.raw import END, TIME, RawTable
from gnnscale.schema import ColumnType, FeatureManifest, Graph, SchemaError

SKEWED = 2.0
"""Skewness past which a numerical column is encoded as sign(x) log(1 + |x|)."""

CLIP = 10.0
"""Encoded numerical values are kept within this many standard deviations of the mean."""


def feature_types(raw: RawTable, graph: Graph) -> dict[str, ColumnType]:
    """Which columns become features, and as what; those not declared follow their physical type."""
    table = raw.table
    linked = {link.column for link in graph.links if link.table == table.name}
    taken = {table.primary_key, table.time_column, table.end_time, TIME, END, *linked}
    types: dict[str, ColumnType] = {}
    for column in raw.frame.schema:
        if column.name not in taken:
            declared = table.columns.get(column.name) or _infer(column.dataType)
            if declared is not ColumnType.IGNORE:
                types[column.name] = declared
    return types


def fit_features(
    raw: RawTable, types: dict[str, ColumnType], fit_until: int | None, max_categories: int
) -> tuple[FeatureManifest, ...]:
    """Statistics of each feature.

    Args:
        raw: the table.
        types: column -> type.
        fit_until: epoch seconds; rows stamped later do not count. None counts all.
        max_categories: most categories a column keeps; rarer values share code 0 with missing ones.

    Raises:
        SchemaError: a column is declared as what its values are not.
    """
    _check_types(raw, types)
    period = raw.frame
    if fit_until is not None:
        period = period.where(F.col(TIME).isNull() | (F.col(TIME) <= fit_until))
    numbers = [name for name, kind in types.items() if kind is not ColumnType.CATEGORICAL]
    aggregates = [F.count(F.lit(1)).alias("rows")]
    for name, kind in types.items():
        aggregates.append(F.count(F.col(name)).alias(f"{name}|count"))
        if name in numbers:
            value = _number(name, kind)
            plain, logged = value, F.signum(value) * F.log1p(F.abs(value))
            aggregates += [
                F.skewness(plain).alias(f"{name}|skew"),
                F.avg(plain).alias(f"{name}|mean"),
                F.stddev_pop(plain).alias(f"{name}|std"),
                F.avg(logged).alias(f"{name}|log_mean"),
                F.stddev_pop(logged).alias(f"{name}|log_std"),
            ]
    row = period.agg(*aggregates).first()
    assert row is not None
    categories = _most_frequent(period, [name for name in types if name not in numbers], max_categories)
    features = []
    for name, kind in types.items():
        missing = 1 - row[f"{name}|count"] / max(1, row["rows"])
        if name in numbers:
            log = abs(row[f"{name}|skew"] or 0.0) > SKEWED
            prefix = f"{name}|log_" if log else f"{name}|"
            mean, std = row[f"{prefix}mean"] or 0.0, row[f"{prefix}std"] or 0.0
            features.append(FeatureManifest(name, kind, log, mean, std if std > 1e-9 else 1.0, (), missing))
        else:
            features.append(FeatureManifest(name, kind, categories=categories[name], missing=missing))
    return tuple(features)


def _check_types(raw: RawTable, types: dict[str, ColumnType]) -> None:
    fits = {
        ColumnType.NUMERICAL: (T.NumericType, T.BooleanType),
        ColumnType.TIMESTAMP: (T.TimestampType, T.TimestampNTZType, T.DateType),
    }
    for name, kind in types.items():
        physical = raw.frame.schema[name].dataType
        if kind in fits and not isinstance(physical, fits[kind]):
            raise SchemaError(
                f"column {raw.table.name}.{name} is declared {kind} and holds {physical.simpleString()}; "
                "declare it categorical or ignore, or convert it in the source"
            )


def encode_features(frame: DataFrame, features: tuple[FeatureManifest, ...]) -> DataFrame:
    """Replace raw columns by ``num_<column>`` (float, mean 0 and deviation 1) and ``cat_<column>`` (int codes).

    A missing number is encoded as the mean, 0; a missing or unknown category as code 0.
    """
    for feature in features:
        if feature.type == ColumnType.CATEGORICAL:
            frame = _encode_category(frame, feature)
        else:
            value = _number(feature.column, ColumnType(feature.type))
            value = F.signum(value) * F.log1p(F.abs(value)) if feature.log else value
            scaled = (value - F.lit(feature.mean)) / F.lit(feature.std)
            clipped = F.greatest(F.lit(-CLIP), F.least(F.lit(CLIP), F.coalesce(scaled, F.lit(0.0))))
            frame = frame.withColumn(f"num_{feature.column}", clipped.cast("float"))
    return frame


def _encode_category(frame: DataFrame, feature: FeatureManifest) -> DataFrame:
    name = f"cat_{feature.column}"
    if not feature.categories:
        return frame.withColumn(name, F.lit(0))
    codes = [(value, code) for code, value in enumerate(feature.categories, start=1)]
    schema = T.StructType([T.StructField("_value", T.StringType()), T.StructField(name, T.IntegerType())])
    lookup = F.broadcast(frame.sparkSession.createDataFrame(codes, schema))
    joined = frame.join(lookup, F.col(feature.column).cast("string") == F.col("_value"), "left")
    return joined.withColumn(name, F.coalesce(F.col(name), F.lit(0))).drop("_value")


def _most_frequent(frame: DataFrame, columns: list[str], most: int) -> dict[str, tuple[str, ...]]:
    if not columns:
        return {}
    # One pass for all columns, as (column, value) rows.
    pairs = F.explode(
        F.array(*(F.struct(F.lit(c).alias("column"), F.col(c).cast("string").alias("value")) for c in columns))
    )
    counts = frame.select(pairs.alias("pair")).select("pair.*").dropna().groupBy("column", "value").count()
    order = Window.partitionBy("column").orderBy(F.desc("count"), "value")
    rows = counts.withColumn("place", F.row_number().over(order)).where(F.col("place") <= most).collect()
    found: dict[str, list[tuple[int, str]]] = {column: [] for column in columns}
    for row in rows:
        found[row["column"]].append((row["place"], row["value"]))
    return {column: tuple(value for _, value in sorted(values)) for column, values in found.items()}


def _number(name: str, kind: ColumnType) -> Column:
    column = F.col(name)
    if kind is ColumnType.TIMESTAMP:
        column = F.unix_seconds(column.cast("timestamp")) / F.lit(86_400)
    value = column.try_cast("double")
    return F.when(F.isnan(value) | (F.abs(value) == float("inf")), F.lit(None)).otherwise(value)


def _infer(physical: T.DataType) -> ColumnType:
    if isinstance(physical, T.StringType | T.BooleanType):
        return ColumnType.CATEGORICAL
    if isinstance(physical, T.TimestampType | T.TimestampNTZType | T.DateType):
        return ColumnType.TIMESTAMP
    if isinstance(physical, T.NumericType):
        return ColumnType.NUMERICAL
    return ColumnType.IGNORE

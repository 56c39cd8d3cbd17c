"""Key columns of Spark frames: keys by value, whatever the types of both ends of a link, and to node ids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.arrays import EXACT
from gnnscale.etl.ids.key_lookup import KeyMap

_FLOATS = (T.FloatType, T.DoubleType)

_KINDS: dict[str, tuple[type[T.DataType], ...]] = {
    "numbers": (T.NumericType,),
    "text": (T.StringType, T.CharType, T.VarcharType),
    "times": (T.TimestampType, T.TimestampNTZType),
    "dates": (T.DateType,),
    "octets": (T.BinaryType,),
    "truth values": (T.BooleanType,),
}


def key_type(physical: T.DataType) -> T.DataType:
    """The type that keys of a column have in the graph: as they came, but floating-point numbers are whole ones."""
    if isinstance(physical, _FLOATS):
        return T.LongType()
    return T.TimestampType() if isinstance(physical, T.TimestampNTZType) else physical


def key_kind(physical: T.DataType) -> str | None:
    """What keys of a type are: keys of two kinds are never the same. None where values of the type are no keys."""
    return next((kind for kind, types in _KINDS.items() if isinstance(physical, types)), None)


def key_form(column: Column, physical: T.DataType, key: T.DataType) -> Column:
    """A column as keys of a table are compared.

    Args:
        column: that holds the keys, of the table itself or of one that refers to it.
        physical: its type.
        key: type of the table's primary key. A value that it can't hold exactly becomes null, which matches nothing.
    """
    wanted = key_type(key)
    return exact_cast(column, physical, T.LongType() if isinstance(wanted, T.IntegralType) else wanted)


def exact_cast(column: Column, physical: T.DataType, wanted: T.DataType) -> Column:
    """A column in another type of its kind, null where that holds no such value."""
    if physical == wanted:
        return column
    if isinstance(wanted, _FLOATS):
        # Up to there every whole number is a float of its own.
        whole, most = _whole(column, physical), EXACT[_bits(wanted)] - 1
        return F.when(whole.between(-most, most), whole).cast(wanted)
    if isinstance(physical, _FLOATS):
        return _whole(column, physical).try_cast(wanted)
    if isinstance(physical, T.DecimalType) and physical.scale > _scale(wanted):
        return F.when(F.round(column, _scale(wanted)) == column, column).try_cast(wanted)
    return column.try_cast(wanted)


def is_missing(column: Column, physical: T.DataType) -> Column:
    """Whether there is no key: null, or the NaN by which a floating-point column says so."""
    return column.isNull() | F.isnan(column) if isinstance(physical, _FLOATS) else column.isNull()


def is_inexact(column: Column, physical: T.DataType) -> Column | None:
    """Whether a key may be another one that was rounded; None for types that hold every key exactly."""
    if not isinstance(physical, _FLOATS):
        return None
    size = F.abs(column)
    return ~F.isnan(column) & (size >= float(EXACT[_bits(physical)])) & (size < float("inf"))


def _whole(column: Column, physical: T.DataType) -> Column:
    """Numbers as 64 bits, null where one is not whole or not exact."""
    if isinstance(physical, T.DecimalType):
        return exact_cast(column, physical, T.LongType())
    if not isinstance(physical, _FLOATS):
        return column.try_cast("long")
    exact = (F.abs(column) < float(EXACT[_bits(physical)])) & (F.rint(column) == column)
    return F.when(exact, column).try_cast("long")


def _bits(physical: T.DataType) -> int:
    return 32 if isinstance(physical, T.FloatType) else 64


def _scale(wanted: T.DataType) -> int:
    return wanted.scale if isinstance(wanted, T.DecimalType) else 0


def find_nodes(ids: KeyMap, keys: Column, deleted: NDArray[np.int64] | None = None) -> Column:
    """Node ids (int64) of keys in :func:`key_form`; null for null and for keys that are not there.

    Args:
        ids: of keys.
        keys: the column.
        deleted: ids that count as not there, ascending, int64 ``[deleted]``.
    """

    def find(column: pa.Array) -> pa.Array:
        nodes = ids.lookup().find(column).astype(np.int64)
        missing = nodes < 0
        if deleted is not None and len(deleted):
            missing |= deleted[np.minimum(np.searchsorted(deleted, nodes), len(deleted) - 1)] == nodes
        return pa.array(nodes, mask=missing)

    found: Column = F.arrow_udf(find, "long")(keys)  # type: ignore[call-overload]
    return found

"""Key columns of Spark frames: to the form that ids are kept by, and to node ids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.ids.key_lookup import KeyMap


def key_form(column: Column, physical: T.DataType, key: T.DataType) -> Column:
    """A column as keys of a table are compared: whole numbers as 64 bits, everything else as text.

    Args:
        column: that holds the keys, of the table itself or of one that refers to it.
        physical: its type.
        key: type of the table's primary key. Values that it can't hold become null, which matches nothing; so does a
            number with a fraction where keys are whole.
    """
    if isinstance(key, T.IntegralType):
        whole = column.try_cast("long")
        return F.when(whole == column, whole) if isinstance(physical, T.FractionalType | T.DecimalType) else whole
    same = column if physical == key else column.try_cast(key)
    return same.cast("string")


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

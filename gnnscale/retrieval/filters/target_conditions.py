"""Targets that a column speaks for or against: sold, out of stock, not for sale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.retrieval.filters.read_filters import find_nodes, read_columns
from gnnscale.schema import ConfigError, DataError, nearest

_COMPARE: dict[str, Callable[..., pa.ChunkedArray]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "in": lambda values, wanted: pc.is_in(values, value_set=wanted),
}


@dataclass(frozen=True)
class TargetCondition:
    """Targets are given where a value compares so; a missing value compares with nothing.

    Args:
        column: of the target's own table, or of ``table``.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``in``.
        value: a constant; several for ``in``. Times are text in ISO form with a zone.
        table: a table of the lake with the targets' keys in column ``target``; a target is given where one of its rows
            is so, and not where it has none. None: the target's own table.

    Raises:
        ConfigError: the operator is unknown, or the value is not one constant, or for ``in`` not several.
    """

    column: str
    operator: str
    value: bool | float | str | tuple[bool | float | str, ...]
    table: str | None = None

    def __post_init__(self) -> None:
        if self.operator not in _COMPARE:
            raise ConfigError(f"unknown operator '{self.operator}'.{nearest(self.operator, _COMPARE)}")
        if isinstance(self.value, tuple) != (self.operator == "in"):
            raise ConfigError(f"operator '{self.operator}' of column '{self.column}' has value {self.value!r}")


def read_mask(lake: Lake, condition: TargetCondition, target: str) -> NDArray[np.bool_]:
    """Which targets a condition lets through, bool ``[targets]``.

    Args:
        lake: holds the table of the condition, and nodes and ids of the targets.
        condition: what is wanted.
        target: table of the targets.

    Raises:
        LakeError: a table is missing.
        DataError: the column is missing or of another type than the value, or no key is known.
    """
    keys = read_keys(lake, target)
    mask = np.zeros(len(keys), np.bool_)
    if condition.table is None:
        # The graph keeps the values that queries may ask for.
        column = f"raw_{condition.column}"
        rows = read_columns(lake, f"nodes_{target}", ["node_id", column])
        nodes = rows["node_id"].to_numpy()
    else:
        column = condition.column
        rows = read_columns(lake, condition.table, ["target", column])
        nodes = find_nodes(rows["target"], keys, condition.table, "target")
    holds = _compare(rows[column], condition) & (nodes >= 0)
    mask[nodes[holds]] = True
    return mask


def _compare(values: pa.ChunkedArray, condition: TargetCondition) -> NDArray[np.bool_]:
    several = isinstance(condition.value, tuple)
    try:
        wanted = pa.array(condition.value) if several else pa.scalar(condition.value)
        if pa.types.is_integer(values.type) and isinstance(condition.value, float) and condition.value.is_integer():
            wanted = pa.scalar(int(condition.value))
        if pa.types.is_decimal(values.type) and pa.types.is_integer(wanted.type):
            wanted = wanted.cast(pa.decimal128(19)).cast(values.type)
        # Numbers of 32 bits are no decimal fractions of 64: what is written as .1 means the number nearest to it.
        elif several or pa.types.is_temporal(values.type) or pa.types.is_floating(values.type):
            wanted = wanted.cast(values.type)
        found = _COMPARE[condition.operator](values, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError):
        raise DataError(
            f"column '{condition.column}' is of type {values.type}, and can't be compared with {condition.value!r}"
        ) from None
    held: NDArray[np.bool_] = pc.fill_null(found, False).to_numpy()
    return held

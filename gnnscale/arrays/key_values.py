"""Keys by value: the one form that a key has wherever it is compared, hashed or shown.

Two keys are the same where their values are, whatever their types: 7 as int32, as double and as decimal(10,2) is one
key, 1.40 is none of the whole numbers. A floating-point number stands for a key only where it is whole and so small
that no other whole number is held as the same one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

EXACT: Final = {16: 2**11, 32: 2**24, 64: 2**53}
"""Bits of a floating-point type -> the whole number from which on it doesn't hold all of them."""


def plain_keys(column: pa.Array) -> pa.Array:
    """Keys in the form that they are fingerprinted in: int64, text or octets.

    Args:
        column: keys of any type; a floating-point number that is no key becomes null.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_floating(kind):
        return _whole(column)
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary()).cast(pa.large_binary())
    return column.cast(pa.large_string())


def as_keys(column: pa.Array | pa.ChunkedArray, wanted: pa.DataType) -> pa.Array | None:
    """Values as keys of a type, each null where the type has no such value.

    Args:
        column: the values.
        wanted: type of the keys.

    Returns:
        An array of that type; None where values of this kind are never such keys, as text is no number.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), wanted)
    if key_kind(kind) != key_kind(wanted):
        return None
    if pa.types.is_floating(kind) and pa.types.is_integer(wanted):
        column = _whole(column)
    if pa.types.is_integer(column.type) and pa.types.is_integer(wanted):
        least, most = -(1 << (wanted.bit_width - 1)), (1 << (wanted.bit_width - 1)) - 1
        try:
            held = column.cast(pa.int64())
        except pa.ArrowInvalid:
            # Only 64 bits without a sign hold more.
            held = pc.if_else(pc.greater(column, pa.scalar(2**63 - 1, column.type)), None, column).cast(pa.int64())
        inside = pc.and_(pc.greater_equal(held, least), pc.less_equal(held, most))
        return pc.if_else(inside, held, pa.scalar(None, pa.int64())).cast(wanted)
    if key_kind(kind) == "text" or kind == wanted:
        return column.cast(wanted)
    return pa.array((key_of(value, wanted) for value in column.to_pylist()), wanted, size=len(column))


def key_array(values: Iterable[Any], wanted: pa.DataType) -> pa.Array:
    """Plain values as keys of a type; null where one is none."""
    return pa.array([key_of(value, wanted) for value in values], wanted)


def key_of(value: Any, wanted: pa.DataType) -> Any:
    """A value as a key of a type; None where the type has no such value.

    Args:
        value: a number, text, a truth value, a time or octets. Text stands for dates and times in ISO form, and for
            octets as hexadecimal digits, with or without the hyphens of a UUID.
        wanted: type of the keys.
    """
    try:
        return _key_of(value, wanted)
    except (ValueError, ArithmeticError):
        return None


def _key_of(value: Any, wanted: pa.DataType) -> Any:
    value = value.item() if hasattr(value, "item") else value
    kind = key_kind(wanted)
    if kind == "number":
        return _number(value, wanted)
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "octets":
        return bytes.fromhex(value.replace("-", "")) if isinstance(value, str) else bytes(value)
    if kind == "date":
        found = date.fromisoformat(value) if isinstance(value, str) else value
        return found if isinstance(found, date) and not isinstance(found, datetime) else None
    if kind == "time":
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(found, datetime):
            return None
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return aware.astimezone(UTC) if wanted.tz else aware.astimezone(UTC).replace(tzinfo=None)
    return value if isinstance(value, bool) else None


def _number(value: Any, wanted: pa.DataType) -> int | Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, float) and not (math.isfinite(value) and value.is_integer() and abs(value) < EXACT[64]):
        return None
    exact = Decimal(int(value)) if isinstance(value, float) else Decimal(value)
    if pa.types.is_integer(wanted):
        whole = int(exact)
        return (
            whole if whole == exact and -(1 << (wanted.bit_width - 1)) <= whole < 1 << (wanted.bit_width - 1) else None
        )
    digits = exact.normalize().as_tuple()
    exponent = int(digits.exponent)
    fits = -exponent <= wanted.scale and len(digits.digits) + exponent <= wanted.precision - wanted.scale
    return exact if fits else None


def key_kind(kind: pa.DataType) -> str:
    """What keys of a type are: ``number``, ``text``, ``octets``, ``date``, ``time`` or ``truth value``."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "octets"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "time"
    return "truth value" if pa.types.is_boolean(kind) else "text"


def key_text(keys: pa.Array) -> pa.Array:
    """Keys as people are shown them: octets as hexadecimal digits, all else as text."""
    return keys.cast(pa.string()) if key_kind(keys.type) != "octets" else pa.array(map(show_key, keys), pa.string())


def show_key(key: pa.Scalar) -> str:
    """One key as people are shown it."""
    value = key.as_py()
    return value.hex() if isinstance(value, bytes) else str(value)


def _whole(column: pa.Array) -> pa.Array:
    """Floating-point numbers as int64, null where one is not whole or not exact."""
    exact = pc.and_(
        pc.less(pc.abs(column), pa.scalar(float(EXACT[column.type.bit_width]), column.type)),
        pc.equal(pc.floor(column), column),
    )
    return pc.if_else(exact, column, pa.scalar(None, column.type)).cast(pa.int64())

"""Arrow types that the graph takes, and values in them: one form for frames, for files and for what Spark reads."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from gnnscale.schema import SchemaError


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type in which Spark reads values of a type from Parquet.

    Raises:
        SchemaError: there is none.
    """
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_timestamp(kind) and kind.unit != "us":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, plain_type(part.type)) for part in kind])
    if _is_list(kind) and (plain := plain_type(kind.value_type)) != kind.value_type:
        return pa.large_list(plain) if pa.types.is_large_list(kind) else pa.list_(plain)
    if (
        isinstance(kind, pa.BaseExtensionType)
        or any(is_kind(kind) for is_kind in _WITHOUT_FORM)
        or (pa.types.is_decimal(kind) and kind.precision > 38)
    ):
        raise SchemaError(f"is of type {kind}, which no table of a lake has: make it a number or text, or leave it out")
    return kind


def plain_array(array: pa.Array) -> pa.Array:
    """The values in their :func:`plain_type`.

    Nanoseconds are rounded up to microseconds, so that no time moves past a whole second before it.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        # Not every type of values can be taken from: they are plain first.
        return plain_array(array.dictionary).take(array.indices)
    plain = plain_type(kind)
    if plain == kind:
        return array
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            # Arrow rounds the time of a zone's clocks, and an hour of each autumn has two meanings there.
            instants = array.cast(pa.timestamp("ns", "UTC")) if kind.tz else array
            return pc.ceil_temporal(instants, unit="microsecond").cast(plain)
        return array.cast(plain)
    if pa.types.is_struct(kind):
        parts = [plain_array(part) for part in array.flatten()]
        return pa.StructArray.from_arrays(parts, fields=list(plain), mask=array.is_null())
    if _is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        ends = pc.cumulative_sum(lengths.cast(pa.int64()))
        large = pa.types.is_large_list(plain)
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int64() if large else pa.int32())
        lists = pa.LargeListArray if large else pa.ListArray
        return lists.from_arrays(offsets, plain_array(array.flatten()), type=plain, mask=array.is_null())
    return array.cast(plain, safe=False)


def stored_type(kind: pa.DataType) -> pa.DataType | None:
    """The type that a column of a file has in the graph: one that Spark has too; None where the column is left out.

    Times of a day become text, and durations, maps and decimals of more than 38 digits have no form.
    """
    if pa.types.is_time(kind):
        return pa.string()
    if isinstance(kind, pa.BaseExtensionType):
        return stored_type(kind.storage_type)
    if pa.types.is_map(kind):
        return None
    try:
        return _spark_type(plain_type(kind))
    except SchemaError:
        return None


def stored_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values in a type that :func:`stored_type` gives for theirs, or for another that theirs widen to.

    Raises:
        pyarrow.ArrowInvalid: a value has no exact form in it.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if not pa.types.is_time(array.type):
        array = plain_array(array)
    return array if array.type == kind else array.cast(kind)


def is_read_by_spark(kind: pa.DataType) -> bool:
    """Whether Spark's own reader takes a column of that type from Parquet, and gives the values of :func:`stored_type`.

    It refuses nanoseconds, times of a day and halves.
    """
    if pa.types.is_timestamp(kind):
        return bool(kind.unit != "ns")
    if pa.types.is_dictionary(kind):
        return is_read_by_spark(kind.value_type)
    if pa.types.is_nested(kind):
        return all(is_read_by_spark(kind.field(place).type) for place in range(kind.num_fields))
    refused = (pa.types.is_time, pa.types.is_float16, pa.types.is_null)
    return not any(is_kind(kind) for is_kind in refused) and not isinstance(kind, pa.BaseExtensionType)


_WITHOUT_FORM = (pa.types.is_time, pa.types.is_duration, pa.types.is_interval, pa.types.is_union)

_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
}
"""Types that Spark has not, and those in which it reads their values."""


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if kind in _WIDER:
        return _WIDER[kind]
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_decimal(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_map(kind):
        raise SchemaError("maps have no hash")
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, _spark_type(part.type)) for part in kind])
    return pa.list_(_spark_type(kind.value_type)) if _is_list(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    )

"""Keys are the same where their values are, whatever their types."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from gnnscale.arrays import as_keys, key_array, key_text, plain_keys

WHOLE = 1_234_567_890_123_456_768
INFINITE = float("inf")
FRACTIONS = [Decimal("1.0"), Decimal("1.4"), Decimal("1.45")]
UUID = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


@pytest.mark.parametrize(
    ("values", "wanted", "same"),
    [
        (pa.array([1.0, float("nan"), None, 1.5, 2.0**53, INFINITE]), pa.int64(), [1, *[None] * 5]),
        (pa.array([1.0, 2.0**24], pa.float32()), pa.int64(), [1, None]),
        (pa.array([1, 300, -5]), pa.int8(), [1, None, -5]),
        (pa.array([5, 2**63], pa.uint64()), pa.int64(), [5, None]),
        (pa.array([Decimal("1.00"), Decimal("1.40")]), pa.int64(), [1, None]),
        (pa.array(FRACTIONS, pa.decimal128(5, 2)), pa.decimal128(5, 1), [1, FRACTIONS[1], None]),
        (pa.array([1, 2**62]), pa.decimal128(20, 2), [1, None]),
        (pa.array([1.0, 1.5]), pa.decimal128(20, 2), [1, None]),
        (pa.array(["a", None], pa.large_string()), pa.string(), ["a", None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), pa.string(), ["a", "b", "a"]),
        (pa.array([UUID.bytes], pa.binary(16)), pa.binary(), [UUID.bytes]),
        (pa.array([None, None]), pa.int64(), [None, None]),
        (pa.array(["1"]), pa.int64(), None),
        (pa.array([1]), pa.string(), None),
        (pa.array([date(2024, 1, 2)]), pa.timestamp("us", "UTC"), None),
    ],
)
def test_columns_hold_keys_of_another_type_by_value_or_not_at_all(values, wanted, same):
    found = as_keys(values, wanted)
    assert (None if found is None else found.to_pylist()) == same
    assert found is None or found.type == wanted
    chunked = as_keys(pa.chunked_array([values, values]), wanted)
    assert (None if chunked is None else chunked.to_pylist()) == (None if same is None else same * 2)


@pytest.mark.parametrize(
    ("value", "wanted", "key"),
    [
        (WHOLE, pa.int64(), WHOLE),
        (float(WHOLE), pa.int64(), None),
        (7.0, pa.int32(), 7),
        (7.5, pa.int32(), None),
        (True, pa.int64(), None),
        (2**63, pa.int64(), None),
        (2**63, pa.decimal128(20, 0), Decimal(2**63)),
        (10**20, pa.decimal128(20, 0), None),
        (WHOLE, pa.decimal128(38, 0), Decimal(WHOLE)),
        ("5", pa.int64(), None),
        (5, pa.string(), None),
        ("2024-02-29", pa.date32(), date(2024, 2, 29)),
        ("2024-02-30", pa.date32(), None),
        ("2024-02-29 12:00", pa.timestamp("us", "UTC"), datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("2024-02-29T12:00+02:00", pa.timestamp("us", "UTC"), datetime(2024, 2, 29, 10, tzinfo=UTC)),
        (str(UUID), pa.binary(), UUID.bytes),
        (UUID.bytes.hex(), pa.binary(), UUID.bytes),
        ("no digits", pa.binary(), None),
    ],
)
def test_values_of_a_query_are_keys_by_value_or_not_at_all(value, wanted, key):
    assert key_array([value], wanted).to_pylist() == [key]


def test_keys_have_one_form_and_one_text():
    assert plain_keys(pa.array([3, 4], pa.int32())).equals(pa.array([3, 4], pa.int64()))
    assert plain_keys(pa.array([3.0, float("nan"), 0.5])).to_pylist() == [3, None, None]
    assert plain_keys(pa.array([Decimal("1.50")])).to_pylist() == ["1.50"]
    assert plain_keys(pa.array([UUID.bytes], pa.binary(16))).to_pylist() == [UUID.bytes]
    assert key_text(pa.array([UUID.bytes], pa.binary(16))).to_pylist() == [UUID.bytes.hex()]
    assert key_text(pa.array([7, 8])).to_pylist() == ["7", "8"]

"""Keys are found by their fingerprints, and by nothing else about how they are held."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.ids.key_columns import find_nodes, key_form
from gnnscale.etl.ids.key_hash import Fingerprints, fingerprint_keys
from gnnscale.etl.ids.key_ids import FrameKeys, write_ids
from gnnscale.etl.ids.key_lookup import KeyLookup
from gnnscale.lake import Lake


def pairs(column):
    prints = fingerprint_keys(column)
    checks = prints.checks if prints.checks is not None else np.zeros(len(prints.hashes), np.uint32)
    return list(zip(prints.hashes.tolist(), checks.tolist(), strict=True))


def test_text_of_every_length_has_a_fingerprint_of_its_own():
    text = ["x" * n for n in range(41)] + ["\0" * n for n in range(1, 41)] + ["x" * n + "y" for n in range(40)]
    found = pairs(pa.array(text))
    assert len(set(found)) == len(text)
    assert len({hashed for hashed, _ in found}) == len(text)
    assert len({check for _, check in found}) > len(text) - 3


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.none() | st.text(max_size=20), max_size=30),
    before=st.lists(st.text(max_size=11), max_size=5),
    after=st.lists(st.text(max_size=11), max_size=5),
)
def test_a_fingerprint_does_not_depend_on_how_text_is_held(text, before, after):
    valid = [value is not None for value in text]
    alone = [pairs(pa.array([value], pa.string()))[0] if value is not None else None for value in text]
    whole = pa.array(before + text + after, pa.string())
    sliced = whole.slice(len(before), len(text))
    for column in (
        sliced,
        sliced.cast(pa.large_string()),
        whole.cast(pa.large_string()).slice(len(before), len(text)),
        whole.cast(pa.string_view()).slice(len(before), len(text)),
        whole.dictionary_encode().slice(len(before), len(text)),
    ):
        found = pairs(column)
        assert [pair if there else None for pair, there in zip(found, valid, strict=True)] == alone
        marked = fingerprint_keys(column).valid
        assert (marked.tolist() if marked is not None else [True] * len(text)) == valid


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.int64()])
def test_whole_numbers_are_hashed_by_value_alone(kind):
    values = [0, 1, 100, None, 7]
    column = pa.array([9, *values], kind)[1:]
    wide = pa.array([0, 1, 100, 0, 7], pa.int64())
    assert pairs(column) == pairs(wide)
    assert fingerprint_keys(column).valid.tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.int64(), pa.dictionary(pa.int32(), pa.string())])
def test_an_empty_column_has_no_fingerprints(kind):
    assert pairs(pa.array([], kind)) == []
    assert KeyLookup.of(fingerprint_keys(pa.array([], pa.string())), np.empty(0, np.int32)).find(
        pa.array(["a", None])
    ).tolist() == [-1, -1]


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=700, unique=True)
    | st.lists(st.text(max_size=12), max_size=700, unique=True),
    seed=st.integers(0, 2**32),
)
def test_every_key_is_found_and_nothing_else(keys, seed, tmp_path_factory):
    kind = pa.string() if keys and isinstance(keys[0], str) else pa.int64()
    rng = np.random.default_rng(seed)
    ids = rng.permutation(len(keys)).astype(np.int32)
    half = len(keys) // 2
    lookup = KeyLookup.of(fingerprint_keys(pa.array(keys[:half], kind)), ids[:half])
    asked = [None, *keys, None, *keys]
    expected = [-1, *ids[:half].tolist(), *[-1] * (len(keys) - half)]
    assert lookup.find(pa.array(asked, kind)).tolist() == expected * 2
    folder = tmp_path_factory.mktemp("keys")
    lookup.save(folder)
    assert KeyLookup.open(folder).find(pa.array(asked, kind)).tolist() == expected * 2


def test_keys_that_share_64_bits_are_told_apart_by_their_checks():
    keys = pa.array([f"k{i}" for i in range(12)])
    prints = fingerprint_keys(keys)
    others = np.arange(100, 130, dtype=np.uint32)
    for at in range(12):
        # As though so many other keys had the hash of this one: it is among them, or it is not.
        hashes = np.concatenate([prints.hashes, np.full(len(others), prints.hashes[at])])
        assert prints.checks is not None
        checks = np.concatenate([prints.checks, others])
        order = np.random.default_rng(at).permutation(len(hashes))
        lookup = KeyLookup.of(Fingerprints(hashes[order], checks[order], None), order.astype(np.int32))
        assert lookup.find(keys).tolist() == list(range(12))
        away = order[order != at]
        lookup = KeyLookup.of(Fingerprints(hashes[away], checks[away], None), away.astype(np.int32))
        assert lookup.find(keys).tolist() == [-1 if i == at else i for i in range(12)]


def test_the_smallest_and_the_largest_hash_are_found():
    keys = pa.array(["a", "b"])
    prints = fingerprint_keys(keys)
    ends = np.array([0, 2**64 - 1], np.uint64)
    hashes = np.concatenate([ends, prints.hashes])
    assert prints.checks is not None
    checks = np.concatenate([np.zeros(2, np.uint32), prints.checks])
    assert KeyLookup.of(Fingerprints(hashes, checks, None), np.arange(4, dtype=np.int32)).find(keys).tolist() == [2, 3]


@pytest.fixture(scope="module")
def number_ids(tmp_path_factory):
    """Ids of the whole numbers 0 to 9, made at first use."""
    made = {}

    def ids(spark):
        if not made:
            folder = tmp_path_factory.mktemp("numbers")
            frame = spark.range(10).withColumnRenamed("id", "key")
            made["ids"] = write_ids(Lake(folder / "lake"), "a", frame, FrameKeys(), pa.int64(), 10, str(folder / "c"))
        return made["ids"]

    return ids


@pytest.mark.parametrize(
    ("kind", "values", "keys"),
    [
        ("int", ["3", "12", None], [3, None, None]),
        ("smallint", ["3", "-1", None], [3, None, None]),
        ("double", ["1.0", "1.5", "NaN", "1e30", "-0.0", None], [1, None, None, None, 0, None]),
        ("decimal(10,2)", ["4.00", "4.01", None], [4, None, None]),
        ("string", ["5", " 5 ", "05", "5.0", "five", None], [5, 5, 5, None, None, None]),
    ],
)
def test_columns_of_other_types_match_whole_number_keys_by_value(spark, number_ids, kind, values, keys):
    ids = number_ids(spark)
    rows = [(i, value) for i, value in enumerate(values)]
    frame = spark.createDataFrame(rows, "row int, text string").coalesce(1)
    form = key_form(F.col("text").cast(kind), T._parse_datatype_string(kind), T.LongType())
    found = [row["node"] for row in frame.select("row", find_nodes(ids, form).alias("node")).orderBy("row").collect()]
    of_key = dict(zip(range(10), ids.lookup().find(pa.array(range(10))).tolist(), strict=True))
    assert sorted(of_key.values()) == list(range(10))
    assert found == [None if key is None else of_key[key] for key in keys]

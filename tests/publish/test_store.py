"""Readers see whole versions, whatever a writer does beside them and wherever it is killed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.publish import KeyValues, NewTable, Publication, Store, connect
from gnnscale.publish.keys import type_text
from gnnscale.publish.payloads import answer_payload
from gnnscale.schema import ConfigError, StoreError

LAYOUT = {"kind": "answers", "columns": ["value"], "lists": False}


def table(kind: pa.DataType | None = None) -> NewTable:
    return NewTable(type_text(kind or pa.string()), LAYOUT, {"model": "m"})


def rows(values: Mapping[str, int]) -> list[tuple[str, bytes]]:
    return [(key, answer_payload({"value": [value]}, 0)) for key, value in values.items()]


def publish(values: KeyValues, content: Mapping[str, int], changes: bool = False, batch_rows: int = 3) -> Publication:
    """A whole version of table ``t``."""
    publication = Publication(values, "q", batch_rows)
    if changes:
        publication.write_changes("t", {"model": "m"}, rows(content))
    else:
        publication.write_table("t", table(), rows(content))
    publication.switch()
    return publication


def read(store: Store, keys: Sequence[Any]) -> list[int | None]:
    return [None if row is None else row["value"] for row in store.lookup("q/t", keys)]


KEYS = [f"k{i}" for i in range(10)]


def test_tables_are_written_anew_and_changed(uri: str) -> None:
    with connect(uri, make=True) as values, Store(values) as store:
        publish(values, dict.fromkeys(KEYS, 1))
        assert read(store, [*KEYS, "none", 7]) == [1] * 10 + [None, None]
        publish(values, {"k3": 2, "k11": 2, "k4": 2, "k12": 2}, changes=True)
        assert read(store, ["k3", "k5", "k11"]) == [2, 1, 2]
        assert (store.state("q").version, store.state("q").tables["t"].rows) == (2, 12)
        publish(values, {"k3": 3})
        assert read(store, ["k3", "k5", "k11"]) == [3, None, None]
        assert store.state("q").version == 3


def pairs_of(values: KeyValues) -> int:
    """Pairs that a store holds."""
    if hasattr(values, "path"):
        return values._connection().execute("SELECT count(*) FROM pairs").fetchone()[0]
    return values._client.dbsize()


def test_nothing_is_left_of_what_nobody_reads(uri: str) -> None:
    with connect(uri, make=True) as values:
        publish(values, dict.fromkeys(KEYS, 1))
        # Rows, pages of three, and state, work and writer.
        assert pairs_of(values) == 10 + 4 + 3
        publish(values, dict.fromkeys(["k1", "k2", "k3", "new"], 2), changes=True)
        assert pairs_of(values) == 11 + 6 + 3
        publish(values, {"k1": 3})
        assert pairs_of(values) == 1 + 1 + 3
        removal = Publication(values, "q", 3)
        removal.remove_table("t")
        removal.switch()
        assert pairs_of(values) == 3


class KilledError(Exception):
    pass


class Breaking(KeyValues):
    """A store whose process is killed at one of its writes: before it, or right after.

    Args:
        values: the store.
        writes: that are done before.
    """

    def __init__(self, values: KeyValues, writes: int) -> None:
        self.values, self.left = values, writes

    @classmethod
    def connect(cls, uri: str, make: bool) -> KeyValues:
        raise NotImplementedError

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self.values.read(keys)

    def write(self, pairs: Any, removed: Any = (), only_if: Any = None) -> bool:
        if not self.left:
            raise KilledError
        self.left -= 1
        return self.values.write(pairs, removed, only_if)

    def close(self) -> None:
        self.values.close()


@pytest.mark.parametrize("changes", [False, True], ids=["anew", "changed"])
def test_a_writer_may_be_killed_at_every_write(uri: str, changes: bool) -> None:
    """After each, readers see the old version or the new one; the next writer ends with what an unbroken one has."""
    old, new = dict.fromkeys(KEYS, 1), dict.fromkeys([*KEYS[:5], "k10", "k11"], 2)
    after = {**old, **new} if changes else new
    asked = [*KEYS, "k10", "k11"]
    with connect(uri, make=True) as values, Store(values) as store:
        publish(values, old)
        publish(values, {}, changes=True)
        expected, seen_before, seen_after, writes, done = 0, 0, 0, 0, False
        while not done:
            publish(values, old)
            try:
                publish(Breaking(values, writes), new, changes)
                done = True
            except KilledError:
                pass
            found = read(store, asked)
            assert found in ([old.get(key) for key in asked], [after.get(key) for key in asked])
            seen_before += found[0] == 1
            seen_after += found[0] == 2
            # KilledError once more, in the midst of tidying up.
            if not done:
                with pytest.raises(KilledError):
                    publish(Breaking(values, 2), {"k0": 5}, changes=True)
                assert read(store, asked) == found
            publish(values, new, changes)
            assert read(store, asked) == [after.get(key) for key in asked]
            expected = expected or pairs_of(values)
            writes += 1
        assert seen_before > 3 and seen_after > 1
        publish(values, after)
        assert pairs_of(values) == len(after) + -(-len(after) // 3) + 3


def test_who_begins_later_takes_over(uri: str) -> None:
    with connect(uri, make=True) as values, Store(values) as store:
        publish(values, dict.fromkeys(KEYS, 1))
        slow = Publication(values, "q", 3)
        slow.write_table("t", table(), rows({"k1": 8}))
        publish(values, {"k1": 9})
        with pytest.raises(StoreError, match="another run publishes 'q' to this store, and has taken over"):
            slow.switch()
        assert read(store, ["k1"]) == [9]


def test_a_lookup_of_several_parts_is_of_one_version(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(uri, make=True) as values, connect(uri) as others:
        monkeypatch.setattr(type(others), "most_keys", 4)
        store = Store(others)
        publish(values, dict.fromkeys(KEYS, 1))
        assert read(store, KEYS) == [1] * 10
        unbroken, parts = others.read, []

        def interrupted(keys: Sequence[bytes]) -> list[bytes | None]:
            parts.append(len(keys))
            if len(parts) == 2:
                publish(values, dict.fromkeys(KEYS[:9], 2), changes=True)
            return unbroken(keys)

        monkeypatch.setattr(others, "read", interrupted)
        assert read(store, KEYS) == [2] * 9 + [1]
        assert parts == [4, 4, 4, 4, 4, 2]


def test_keys_are_found_by_their_values(uri: str) -> None:
    with connect(uri, make=True) as values, Store(values) as store:
        publication = Publication(values, "q", 100)
        publication.write_table("t", table(pa.int64()), rows({"7": 1, "8": 2}))
        publication.switch()
        assert read(store, [7, np.int64(8), 7.0, 7.5, "7"]) == [1, 2, 1, None, None]
        assert store.parse_keys("q/t", ["7", "x"]) == [7, "x"]
        assert read(store, store.parse_keys("q/t", ["7", "x"])) == [1, None]


def test_what_is_not_there_is_named(uri: str) -> None:
    with connect(uri, make=True) as values, Store(values) as store:
        with pytest.raises(StoreError, match="nothing of query 'q' was published"):
            store.lookup("q/t", ["k"])
        publish(values, {"k": 1})
        with pytest.raises(ConfigError, match=r"no table 'q/tt' in the store\. Did you mean 't'\?"):
            store.lookup("q/tt", ["k"])
        with pytest.raises(ConfigError, match="'t' is called neither"):
            store.lookup("t", ["k"])
        with pytest.raises(ConfigError, match="holds answers, and no vectors"):
            store.vectors("q/t", ["k"])
        with pytest.raises(StoreError, match="no vectors of the entities and targets of query 'q'"):
            store.rerank("q", "k", [])


def test_stores_that_are_not_there_are_named(tmp_path: Any) -> None:
    with pytest.raises(StoreError, match=r"there is no store .*none; publish to it first"):
        Store.open(str(tmp_path / "none"))
    (tmp_path / "text").write_text("no database, and longer than its header would be " * 30)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(f"sqlite://{tmp_path / 'text'}")
    with pytest.raises(StoreError, match=r"store redis://:\*\*\*@127.0.0.1:1/0: .*refused"):
        Store.open("redis://:hidden@127.0.0.1:1/0")
    with pytest.raises(ConfigError, match="there is no store 'mongo'"):
        Store.open("mongo://here")
    with pytest.raises(ConfigError, match="names no place"):
        Store.open("redis://")

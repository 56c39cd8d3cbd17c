"""From keys to node ids: sorted fingerprints in memory-mapped arrays, built once on a host and shared by its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import build_once, name_folder, remove_older
from gnnscale.etl.ids.key_hash import Fingerprints, fingerprint_keys
from gnnscale.lake import open_folder, parquet_batches

KEYS_A_BUCKET = 2

_TOGETHER = 256


@dataclass(frozen=True)
class KeyLookup:
    """Node ids by fingerprint.

    Args:
        hashes: uint64 ``[keys]``, ascending.
        checks: uint32 ``[keys]`` for text keys, else None.
        ids: int32 ``[keys]``.
        buckets: int64 ``[2 ** bits + 1]``: the first position of each value of a hash's upper bits.
    """

    hashes: NDArray[np.uint64]
    checks: NDArray[np.uint32] | None
    ids: NDArray[np.int32]
    buckets: NDArray[np.int64]

    @classmethod
    def of(cls, fingerprints: Fingerprints, ids: NDArray[np.int32]) -> KeyLookup:
        """Index keys that are each there once, in any order; ids ``[keys]``."""
        hashes, checks = fingerprints.hashes, fingerprints.checks
        if len(hashes) > 1 and not (hashes[1:] >= hashes[:-1]).all():
            order = np.argsort(hashes, kind="stable")
            hashes, ids = hashes[order], ids[order]
            checks = checks[order] if checks is not None else None
        bits = max(0, (len(hashes) // KEYS_A_BUCKET).bit_length())
        heads = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits) if bits else np.zeros(1, np.uint64)
        buckets = np.append(np.searchsorted(hashes, heads), len(hashes)).astype(np.int64)
        return cls(hashes, checks, ids, buckets)

    def find(self, column: pa.Array) -> NDArray[np.int32]:
        """Node ids of keys, int32 ``[rows]``; -1 for null and for keys that are not there."""
        prints = fingerprint_keys(column)
        bits = (len(self.buckets) - 1).bit_length() - 1
        none = np.empty(0, np.uint32)
        if (self.checks is None) != (prints.checks is None):
            # Text is none of the keys that are numbers, and the other way round.
            return np.full(len(column), -1, np.int32)
        stored = self.checks if self.checks is not None else none
        asked = prints.checks if prints.checks is not None else none
        found = _find(self.hashes, stored, self.ids, self.buckets, bits, prints.hashes, asked)
        if prints.valid is not None:
            found[~prints.valid] = -1
        ids: NDArray[np.int32] = found
        return ids

    def save(self, folder: Path) -> None:
        """Write the arrays that :meth:`open` maps."""
        for name in ("hashes", "checks", "ids", "buckets"):
            array = getattr(self, name)
            if array is not None:
                np.save(folder / f"{name}.npy", array)

    @classmethod
    def open(cls, folder: Path) -> KeyLookup:
        """Map the arrays of a folder."""
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r") if (folder / f"{name}.npy").exists() else None
            for name in ("hashes", "checks", "ids", "buckets")
        }
        return cls(**arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class KeyMap:
    """The ids of one table's keys, as the lake holds them; what travels to tasks.

    Args:
        root: of the Delta table ``ids_<table>``.
        files: its files at one version.
        storage_options: as delta-rs names them.
        cache: folder on a local disk for the arrays.
    """

    root: str
    files: tuple[str, ...]
    storage_options: Mapping[str, str]
    cache: str | None = None

    def lookup(self) -> KeyLookup:
        """The map in memory; the first task on a host builds it, the others wait for that one and share its pages."""
        folder = name_folder(self.cache, "keys", self.root, "\n".join(self.files))
        if folder not in _OPENED:
            build_once(folder, lambda made: self._read().save(made))
            remove_older(folder)
            _OPENED[folder] = KeyLookup.open(folder)
        return _OPENED[folder]

    def _read(self) -> KeyLookup:
        prints, ids = [], []
        for batch in self._batches():
            prints.append(fingerprint_keys(batch.column("key")))
            ids.append(batch.column("node_id").to_numpy().astype(np.int32))
        if not ids:
            empty = Fingerprints(np.empty(0, np.uint64), None, None)
            return KeyLookup.of(empty, np.empty(0, np.int32))
        checks = [p.checks for p in prints if p.checks is not None]
        hashes = np.concatenate([p.hashes for p in prints])
        return KeyLookup.of(Fingerprints(hashes, np.concatenate(checks) if checks else None, None), np.concatenate(ids))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        filesystem, prefix = open_folder(self.root, self.storage_options)
        for path in self.files:
            yield from parquet_batches(filesystem, prefix + path, ["key", "node_id"], use_threads=False)


_OPENED: dict[Path, KeyLookup] = {}
"""What this process has mapped; files of a Delta table never change."""


@njit(nogil=True, cache=True)
def _find(hashes, checks, ids, buckets, bits, asked, asked_checks):  # type: ignore[no-untyped-def]
    count, keys = len(asked), len(hashes)
    found = np.empty(count, np.int32)
    if keys == 0:
        found[:] = -1
        return found
    shift = np.uint64(64 - bits)
    places, near = np.empty(_TOGETHER, np.int64), np.empty(_TOGETHER, np.uint64)
    for start in range(0, count, _TOGETHER):
        many = min(_TOGETHER, count - start)
        # Loads that don't wait for each other, so that their cache misses overlap.
        for j in range(many):
            places[j] = buckets[np.int64(asked[start + j] >> shift) if bits > 0 else 0]
        for j in range(many):
            near[j] = hashes[min(places[j], keys - 1)]
        for j in range(many):
            wanted, at, value = asked[start + j], places[j], near[j]
            while at < keys and value < wanted:
                at += 1
                value = hashes[min(at, keys - 1)]
            if len(checks) > 0:
                while at < keys and value == wanted and checks[at] != asked_checks[start + j]:
                    at += 1
                    value = hashes[min(at, keys - 1)]
            places[j] = at if at < keys and value == wanted else -1
        for j in range(many):
            found[start + j] = ids[places[j]] if places[j] >= 0 else -1
    return found

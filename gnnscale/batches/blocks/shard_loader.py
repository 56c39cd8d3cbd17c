"""Batches from shards on disk, in the form that a sampler in memory would give them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.arrays import prefetched
from gnnscale.batches.blocks.category_codes import Categories, CategoryCodes, categories_of, copied_codes
from gnnscale.batches.blocks.dense_features import copied_features
from gnnscale.batches.blocks.feature_block import FeatureBlock, as_tensors
from gnnscale.batches.blocks.shard_reader import Shard, ShardReader
from gnnscale.batches.examples.order import grouped_batches, rank_slice
from gnnscale.sampling import Path
from gnnscale.schema import LakeError

LANES = 8
"""Row groups that are in memory at a time."""


class ShardLoader:
    """Pre-sampled blocks with the features of their nodes, for training where the graph does not fit.

    Row groups are taken in a keyed order, some of them at a time, and so are their examples; see
    :func:`gnnscale.batches.examples.order.grouped_batches`. One a thread: it keeps the row groups that it read last.

    Args:
        reader: of the shards.
        features: table -> of all its nodes, ``[nodes, channels]``; default: those that were copied into the shards.
        batch_size: examples of a global batch.
        seed: of the order.
        rank, workers: of this process among those that share a batch.
        prefetch: batches that are made before they are asked for.
        threads: that gather features.
        chosen: numbers of the examples, in the order of the labels, that an epoch takes, int64; default: all.
        most: examples an epoch; where there are more, each epoch takes others. Default: all.
        codes: table -> categorical and multicategorical columns of all its nodes, beside ``features``; default: none
            are seen, or those that were copied in.

    Attributes:
        groups: row numbers of the chosen examples of each row group.

    Raises:
        LakeError: no features are given, and none were copied in, or not those of a multicategorical column.
    """

    def __init__(
        self,
        reader: ShardReader,
        features: Mapping[str, NDArray[Any]] | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        rank: int = 0,
        workers: int = 1,
        prefetch: int = 2,
        threads: int = 1,
        chosen: NDArray[np.int64] | None = None,
        most: int | None = None,
        codes: Mapping[str, CategoryCodes] | None = None,
    ) -> None:
        self.reader, self.features = reader, None if features is None else dict(features)
        self.codes = dict(codes or {})
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.workers = rank, workers
        self.prefetch, self.threads, self.most = prefetch, threads, most
        self.table, self.paths = reader.table, reader.paths
        self._row_groups = reader.groups()
        self._starts = np.cumsum([0, *(group.rows for group in self._row_groups)])
        chosen = np.arange(self._starts[-1]) if chosen is None else np.sort(chosen)
        self.groups = np.split(chosen, np.searchsorted(chosen, self._starts[1:-1]))
        self._open: OrderedDict[int, Shard] = OrderedDict()
        if features is None and self._row_groups and not self._read(0).features:
            raise LakeError(
                "no features were copied into the shards; give some, or build them with shards.features=true"
            )
        self.categories = self._find_categories()
        self.widths = self._find_widths()

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches, in the order of the labels."""
        return grouped_batches(self.groups, self.batch_size, self.seed, epoch, LANES, self.most)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[FeatureBlock]:
        """This process's part of every batch of an epoch from step ``start`` on."""
        mine = (rank_slice(batch, self.rank, self.workers) for batch in self.batches(epoch)[start:])
        return prefetched((partial(self.build, rows, epoch) for rows in mine), self.prefetch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """What was sampled around some examples, in their order, whatever the epoch.

        Args:
            rows: numbers of the examples in the order of the labels.
            epoch: of the training; the samples are those of the shards' own.
        """
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        found: list[tuple[NDArray[np.int64], Shard]] = []
        # Nothing to read still has a shape.
        for group in np.unique(groups) if len(rows) else [0]:
            at = np.flatnonzero(groups == group)
            found.append((at, self._read(int(group)).select(rows[at] - self._starts[group])))
        shard = found[0][1] if len(found) == 1 else Shard.merge(found)
        if self.features is not None:
            return FeatureBlock.of(shard.block, rows, self.features, self.threads, self.codes)
        nodes = (shard.block.seeds.astype(np.int32), *(hop.nodes for hop in shard.block.hops.values()))
        hops: tuple[Path, ...] = ((), *shard.block.hops)
        kinds = [shard.features.get(hop, {}) for hop in hops]
        values = [copied_features(own, slots) for own, slots in zip(kinds, nodes, strict=True)]
        codes = [copied_codes(own, slots) for own, slots in zip(kinds, nodes, strict=True)]
        return FeatureBlock(
            torch.from_numpy(rows),
            hops,
            as_tensors(nodes),
            as_tensors(values),
            shard.block.edges(),
            codes=as_tensors(codes if self.categories else []),
        )

    def _read(self, group: int) -> Shard:
        if group not in self._open:
            while len(self._open) >= LANES:
                self._open.popitem(last=False)
            self._open[group] = self.reader.read_group(self._row_groups[group])
        self._open.move_to_end(group)
        return self._open[group]

    def _find_categories(self) -> dict[str, Categories]:
        if self.features is not None:
            return {table: columns.categories for table, columns in self.codes.items()}
        tables = {self.table, *(path[-1].target for path in self.paths)}
        found = {table: self._copied_categories(table) for table in sorted(tables)}
        return {table: counts for table, counts in found.items() if counts}

    def _copied_categories(self, table: str) -> Categories:
        manifest = self.reader.manifest.table(table)
        columns, width = len(manifest.multicategorical), 1
        if columns and self._row_groups:
            path = next(path for path in ((), *self.paths) if (path[-1].target if path else self.table) == table)
            kinds = self._read(0).features.get(path, {})
            if "lists" not in kinds:
                names = ", ".join(feature.column for feature in manifest.multicategorical)
                raise LakeError(f"the shards lack {names} of '{table}'; build them again, with --force")
            width = kinds["lists"].shape[-1] // columns
        return categories_of(manifest, [width] * columns)

    def _find_widths(self) -> dict[str, int]:
        if self.features is not None:
            return {table: array.shape[1] for table, array in self.features.items()}
        block = self.build(np.zeros(0, np.int64))
        tables = [self.table, *(path[-1].target for path in self.paths)]
        return {table: values.shape[-1] for table, values in zip(tables, block.features, strict=True)}

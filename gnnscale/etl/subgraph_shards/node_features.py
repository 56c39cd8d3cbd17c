"""Encoded columns of sampled nodes, copied into shards so that a reader needs no features of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.arrays import build_once, name_folder, remove_older
from gnnscale.lake import Lake
from gnnscale.schema import GraphManifest, TableManifest
from gnnscale.store import NodeFeatures, build_features

KINDS: dict[str, pa.DataType] = {"num": pa.float32(), "cat": pa.int32(), "lists": pa.int32(), "vec": pa.float32()}
"""Numerical columns, codes of categorical and of multicategorical ones, and vectors side by side, by the names that
shards give them."""


@dataclass(frozen=True)
class CopiedFeatures:
    """One table's features, mapped on each host that writes shards.

    Args:
        lake: that holds ``nodes_<table>``.
        manifest: of the graph.
        table: whose nodes were sampled.
        cache: folder on a local disk.
        longest: codes that every list of a multicategorical column is padded to.
    """

    lake: Lake
    manifest: GraphManifest
    table: str
    cache: str | None
    longest: int = 0

    @property
    def widths(self) -> dict[str, int]:
        """Values of one node, by kind; kinds that the table lacks are left out."""
        figures: TableManifest = self.manifest.table(self.table)
        found = {
            "num": len(figures.numerical),
            "cat": len(figures.categorical),
            "lists": len(figures.multicategorical) * self.longest,
            "vec": sum(feature.dims for feature in figures.embedded),
        }
        return {kind: width for kind, width in found.items() if width}

    def gather(self, nodes: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        """Values of nodes, zero where one is absent.

        Args:
            nodes: ``[examples, slots]``, -1 where absent.

        Returns:
            Kind -> ``[examples, slots * width]``.
        """
        features = self._open()
        flat = nodes.ravel()
        there = np.maximum(flat, 0)
        sources = {
            "num": lambda: features.numerical[there],
            "cat": lambda: features.categorical[there],
            "lists": lambda: np.concatenate(
                [lists.padded(there, self.longest) for lists in features.multicategorical], axis=1
            ),
            "vec": lambda: np.concatenate([column[there] for column in features.embedded], axis=1).astype(np.float32),
        }
        gathered = {}
        for kind in self.widths:
            values = np.asarray(sources[kind]())
            values[flat < 0] = 0
            gathered[kind] = values.reshape(len(nodes), -1)
        return gathered

    def _open(self) -> NodeFeatures:
        figures = asdict(self.manifest.table(self.table))
        content = json.dumps([self.manifest.origin, figures], sort_keys=True, default=str)
        folder = name_folder(self.cache, "features", self.lake.table_uri(self.table), content)
        if folder not in _OPENED:
            build_once(folder, lambda made: build_features(self.lake, self.manifest, self.table, made))
            remove_older(folder)
            _OPENED[folder] = NodeFeatures.open(folder)
        return _OPENED[folder]


_OPENED: dict[Path, NodeFeatures] = {}
"""What this process has mapped; a table at one version never changes."""

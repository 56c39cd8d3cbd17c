"""Blocks with the features of their nodes, and what gives them to training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.batches.batch_source import Batch
from gnnscale.batches.blocks.category_codes import Categories, CategoryCodes, gather_codes
from gnnscale.batches.blocks.stored_features import StoredFeatures, gather_features
from gnnscale.sampling import Block, Path


@dataclass(frozen=True)
class FeatureBlock(Batch):
    """A block in the form that :class:`gnnscale.nn.BlockNetwork` takes.

    Args:
        rows: of the loader's examples, int64 ``[batch]``.
        hops: of the sampler, ``()`` first.
        nodes: of every hop, int32 ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
        features: of every hop, ``[batch, fanout 1, ..., fanout n, channels]``, zeros where absent.
        edges: that were sampled; on a device, int64 ``[1]`` there.
        weights: of the nodes of every hop but the seeds, as ``nodes``; empty where all weigh the same.
        codes: of every hop's categorical and multicategorical columns, as :class:`gnnscale.batches.CategoryCodes`
            gathers them: int32 ``[batch, fanout 1, ..., fanout n, codes]``, 0 where a value is missing and where
            absent; empty where no table has such columns.
    """

    rows: Tensor
    hops: tuple[Path, ...]
    nodes: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    edges: int | Tensor = 0
    weights: tuple[Tensor, ...] = ()
    codes: tuple[Tensor, ...] = ()

    @classmethod
    def of(
        cls,
        block: Block,
        rows: NDArray[np.int64],
        features: Mapping[str, NDArray[Any] | StoredFeatures],
        threads: int = 1,
        codes: Mapping[str, CategoryCodes] | None = None,
    ) -> FeatureBlock:
        """A block with the features of its nodes.

        Args:
            block: sampled.
            rows: of the examples that its seeds are of, ``[batch]``.
            features: table -> of all its nodes, ``[nodes, channels]``, also stored in fewer bits.
            threads: that share the nodes.
            codes: table -> categorical and multicategorical columns of all its nodes; default: none are seen.
        """
        tables = [block.table, *(hop.table for hop in block.hops.values())]
        nodes = [block.seeds.astype(np.int32), *(hop.nodes for hop in block.hops.values())]
        return cls.gathered(rows, ((), *block.hops), tables, nodes, features, codes or {}, threads, block.edges())

    @classmethod
    def gathered(
        cls,
        rows: NDArray[np.int64],
        hops: tuple[Path, ...],
        tables: Sequence[str],
        nodes: Sequence[NDArray[np.int32]],
        features: Mapping[str, NDArray[Any] | StoredFeatures],
        codes: Mapping[str, CategoryCodes],
        threads: int,
        edges: int,
        weights: Sequence[NDArray[np.float32]] = (),
    ) -> FeatureBlock:
        """Nodes with their features.

        Args:
            rows: of the examples that the seeds are of, ``[batch]``.
            hops: of the sampler, ``()`` first.
            tables: of every hop.
            nodes: of every hop, int32 ``[batch, fanout 1, ..., fanout n]``, -1 where absent.
            features, codes: as of :meth:`of`.
            threads: that share the nodes.
            edges: that were sampled.
            weights: of the nodes of every hop but the seeds; default: all weigh the same.
        """
        found = [gather_features(features[table], slots, threads) for table, slots in zip(tables, nodes, strict=True)]
        return cls(
            torch.from_numpy(rows),
            hops,
            as_tensors(nodes),
            as_tensors(found),
            edges,
            as_tensors(weights),
            as_tensors(gather_codes(codes, tables, nodes, threads)),
        )

    def inputs(
        self,
    ) -> tuple[dict[Path, Tensor], dict[Path, Tensor], dict[Path, Tensor] | None, dict[Path, Tensor] | None]:
        """Features, which slots hold a node, and weights and codes of the nodes where they have any, by path."""
        features = dict(zip(self.hops, self.features, strict=True))
        present = {path: nodes >= 0 for path, nodes in zip(self.hops, self.nodes, strict=True)}
        weights = dict(zip(self.hops[1:], self.weights, strict=True)) if self.weights else None
        codes = dict(zip(self.hops, self.codes, strict=True)) if self.codes else None
        return features, present, weights, codes


def as_tensors(arrays: Iterable[NDArray[Any]]) -> tuple[Tensor, ...]:
    """Arrays as tensors, copied where they are not contiguous."""
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)


class BlockSource(Protocol):
    """Where training has its blocks from.

    Attributes:
        table: of the seeds.
        paths: edge types from a seed to each hop, shorter ones first.
        widths: table -> channels of its nodes' features.
        categories: table -> of its categorical and multicategorical columns; tables that have none are left out.
        batch_size: examples of a global batch.
    """

    table: str
    paths: tuple[Path, ...]
    widths: dict[str, int]
    categories: dict[str, Categories]
    batch_size: int

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches; the same on every process, and as many in every epoch."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """The blocks of some examples, in their order."""

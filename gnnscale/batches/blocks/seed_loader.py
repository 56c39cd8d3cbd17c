"""What makes blocks in memory, around the seeds of examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.batches.blocks.stored_features import SmallType, StoredFeatures
from gnnscale.batches.examples.order import chosen_batches
from gnnscale.sampling import Path
from gnnscale.schema import ConfigError


class SeedLoader(ABC):
    """Batches of examples in a keyed order, and blocks around their seeds.

    Args:
        table: of the seeds.
        paths: edge types from a seed to each hop.
        features: table -> of all its nodes, ``[nodes, channels]``.
        seeds: node ids, int64 ``[examples]``.
        anchors: seconds after the graph's origin, int32 ``[examples]``; None: all edges count.
        batch_size: examples of a global batch.
        seed: of the order.
        chosen: row numbers of the examples that an epoch takes, int64; None: all.
        most: examples an epoch; where there are more, each epoch takes others. None: all.
        codes: table -> categorical and multicategorical columns of all its nodes; None: none are seen.
    """

    def __init__(
        self,
        table: str,
        paths: tuple[Path, ...],
        features: Mapping[str, NDArray[Any]],
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None,
        batch_size: int,
        seed: int,
        chosen: NDArray[np.int64] | None,
        most: int | None,
        codes: Mapping[str, CategoryCodes] | None,
    ) -> None:
        self.table, self.paths = table, paths
        self.features: dict[str, NDArray[Any] | StoredFeatures] = dict(features)
        self.seeds, self.anchors = np.asarray(seeds, np.int64), anchors
        self.batch_size, self.seed, self.most = batch_size, seed, most
        self.chosen = np.arange(len(self.seeds)) if chosen is None else chosen
        self.widths = {name: array.shape[1] for name, array in self.features.items()}
        self.codes = dict(codes or {})
        self.categories = {name: columns.categories for name, columns in self.codes.items()}

    def store_features(self, kind: SmallType) -> None:
        """Keep the features in fewer bits from now on; they are gathered as float32.

        Raises:
            ConfigError: they are so already.
            DataError: a column has what is no number of that type.
        """
        if len(self.arrays) < len(self.features):
            raise ConfigError("the features are stored in fewer bits already: a loader of its own takes another type")
        self.features = self.features | {name: StoredFeatures.of(own, kind) for name, own in self.arrays.items()}

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Features that are stored as they came."""
        return {name: own for name, own in self.features.items() if not isinstance(own, StoredFeatures)}

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches."""
        return chosen_batches(self.chosen, self.batch_size, self.most, self.seed, epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> FeatureBlock:
        """The blocks of some examples, in their order; the key of each is its seed and anchor."""
        anchors = None if self.anchors is None else self.anchors[rows]
        return self.around(self.seeds[rows], anchors, epoch, rows)

    @abstractmethod
    def around(
        self,
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None,
        epoch: int = 0,
        rows: NDArray[np.int64] | None = None,
    ) -> FeatureBlock:
        """Blocks around any seeds ``[batch]`` at any anchors; ``rows`` are what the block calls its examples."""

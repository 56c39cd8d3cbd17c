"""One way to build any index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.index.kind import SavedIndex
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import DataError


def build_index(vectors: NDArray[np.float32], setting: IndexSetting, folder: Path | None = None) -> SavedIndex:
    """Build an index.

    Args:
        vectors: row i is target i, ``[targets, channels]``; may be mapped.
        setting: kind and parameters.
        folder: where an index may keep its arrays while it is used; default: in memory.

    Raises:
        ConfigError: the device of the setting is not there, or has too little memory.
        DataError: there are no vectors, or one is not finite, or has no direction where the metric needs one.
    """
    if not len(vectors):
        raise DataError("there are no target vectors to build an index of")
    return setting.of_kind.build(vectors, setting, folder)

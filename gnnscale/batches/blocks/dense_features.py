"""Features of a table's nodes as plain floats: numbers and vectors side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.rows import NOTHING, HiddenColumns
from gnnscale.store import GraphStore


def dense_features(store: GraphStore, table: str, hidden: HiddenColumns = NOTHING) -> NDArray[np.float32]:
    """Numerical columns and vectors of all nodes of a table; a column of ones where it has neither.

    Args:
        store: the graph.
        table: whose nodes.
        hidden: columns that must not be seen; they are zeros.

    Returns:
        float32 ``[nodes, channels]``; mapped where nothing is hidden and there are no vectors.
    """
    features = store.features(table)
    if not features.numerical.shape[1] and not features.embedded:
        return np.ones((store.node_count(table), 1), np.float32)
    if not features.embedded and not hidden.numerical:
        return features.numerical
    numerical = np.array(features.numerical)
    numerical[:, hidden.numerical] = 0
    vectors = [
        np.asarray(column, np.float32) * (i not in hidden.embedded) for i, column in enumerate(features.embedded)
    ]
    return np.concatenate([numerical, *vectors], axis=1)


def copied_features(kinds: Mapping[str, NDArray[Any]], nodes: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """As :func:`dense_features`, of the nodes of a shard into which features were copied.

    Args:
        kinds: ``num`` and ``vec`` -> ``[examples, fan-out 1, ..., width]``; either may be missing.
        nodes: ``[examples, fan-out 1, ...]``, -1 where absent.

    Returns:
        float32 ``[examples, fan-out 1, ..., channels]``, zeros where absent.
    """
    found = [kinds[kind].astype(np.float32, copy=False) for kind in ("num", "vec") if kind in kinds]
    if not found:
        return (nodes >= 0).astype(np.float32)[..., None]
    return np.concatenate(found, axis=-1)

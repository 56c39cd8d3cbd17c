"""Rows of a feature array by node id, copied by compiled code that holds no lock of the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.threads import share_rows
from gnnscale.schema import SchemaError


def gather(features: NDArray[Any], nodes: NDArray[np.integer[Any]], threads: int = 1) -> NDArray[Any]:
    """Features of nodes, zeros where a node is absent.

    Args:
        features: ``[all nodes, channels]``, C-contiguous, mapped or in memory.
        nodes: node ids, int, any shape; negative where absent.
        threads: that share the nodes.

    Returns:
        Shape of ``nodes`` and one axis more, ``[..., channels]``, of the features' type.

    Raises:
        SchemaError: a node id is past the features.
    """
    flat = np.ascontiguousarray(nodes).reshape(-1)
    if flat.size and flat.max() >= len(features):
        raise SchemaError(f"node ids reach {flat.max()}, and there are features of {len(features):,} nodes")
    found = np.empty((len(flat), features.shape[1]), features.dtype)
    # Sixteen-bit floats are not numba's; bits are all that is copied.
    bits = features.view(np.uint16) if features.dtype == np.float16 else features
    out = found.view(bits.dtype)
    source = np.asarray(bits).view()
    source.flags.writeable = False
    share_rows(len(flat), threads, lambda rows: _copy_rows(source, flat[rows], out[rows]))
    return found.reshape(*nodes.shape, features.shape[1])


@njit(nogil=True, cache=True)
def _copy_rows(features, nodes, out):  # type: ignore[no-untyped-def]
    channels = features.shape[1]
    for i in range(len(nodes)):
        node = nodes[i]
        if node < 0:
            for k in range(channels):
                out[i, k] = 0
        else:
            for k in range(channels):
                out[i, k] = features[node, k]

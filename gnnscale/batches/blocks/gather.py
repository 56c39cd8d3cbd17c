"""Rows of a feature array by node id, copied by compiled code that holds no lock of the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.arrays import reused_array, share_rows
from gnnscale.sampling import prefetch_line, read_only
from gnnscale.schema import SchemaError

AHEAD, LINE = 16, 64
"""How many rows before it is copied a row is asked for, and bytes of a cache line."""


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
    check_ids(flat, len(features))
    found = reused_array((len(flat), features.shape[1]), features.dtype)
    # Sixteen-bit floats are not numba's; bits are all that is copied.
    bits = features.view(np.uint16) if features.dtype == np.float16 else features
    out = found.view(bits.dtype)
    source = read_only(bits)
    share_rows(len(flat), threads, lambda rows: _copy_rows(source, flat[rows], out[rows]))
    return found.reshape(*nodes.shape, features.shape[1])


def gather_pooled(
    features: NDArray[np.float32], nodes: NDArray[np.integer[Any]], mean: bool, threads: int = 1
) -> NDArray[np.float32]:
    """Mean or sum of the features of some nodes, without a copy of each: what GraphSAGE reads of neighbors.

    Args:
        features: ``[all nodes, channels]``.
        nodes: node ids, int ``[rows, fanout]``; negative where absent.
        mean: whether sums are divided by the number of nodes.
        threads: that share the rows.

    Returns:
        ``[rows, channels]``, zeros where a row has no node.

    Raises:
        SchemaError: a node id is past the features.
    """
    nodes = np.ascontiguousarray(nodes)
    check_ids(nodes, len(features))
    found = np.zeros((len(nodes), features.shape[1]), np.float32)
    source = read_only(features)
    share_rows(len(nodes), threads, lambda rows: _add_rows(source, nodes[rows], mean, found[rows]))
    return found


def check_ids(nodes: NDArray[np.integer[Any]], count: int) -> None:
    """See that no id is past the features of so many nodes.

    Raises:
        SchemaError: one is.
    """
    if nodes.size and nodes.max() >= count:
        raise SchemaError(f"node ids reach {nodes.max()}, and there are features of {count:,} nodes")


@njit(nogil=True, cache=True)
def _add_rows(features, nodes, mean, out):  # type: ignore[no-untyped-def]
    channels = features.shape[1]
    for i in range(nodes.shape[0]):
        count = 0
        for j in range(nodes.shape[1]):
            node = nodes[i, j]
            if node >= 0:
                count += 1
                for k in range(channels):
                    out[i, k] += features[node, k]
        if mean and count > 1:
            share = np.float32(1 / count)
            for k in range(channels):
                out[i, k] *= share


@njit(nogil=True, cache=True)
def _copy_rows(features, nodes, out):  # type: ignore[no-untyped-def]
    channels = features.shape[1]
    line = LINE // features.itemsize
    for i in range(len(nodes)):
        if i + AHEAD < len(nodes) and nodes[i + AHEAD] >= 0:
            for k in range(0, channels, line):
                prefetch_line(features, np.int64(nodes[i + AHEAD]) * channels + k)
        node = nodes[i]
        if node < 0:
            for k in range(channels):
                out[i, k] = 0
        else:
            for k in range(channels):
                out[i, k] = features[node, k]

"""Features of nodes stored in fewer bits on the host, and widened as they are gathered: memory is read less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gnnscale.arrays import reused_array, share_rows
from gnnscale.batches.blocks.gather import AHEAD, LINE, check_ids, gather
from gnnscale.sampling import chunks, column_scale, narrow, prefetch_line, read_only
from gnnscale.schema import DataError

SmallType = Literal["fp16", "bf16", "int8"]

_STORED = {"fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}
_MOST = {"fp16": 65_519.0, "bf16": float(np.finfo(np.float32).max), "int8": float(np.finfo(np.float32).max)}
"""Largest magnitude that is rounded to a number."""


@dataclass(frozen=True)
class StoredFeatures:
    """Features of all nodes of a table; made by :meth:`of`.

    The stored values are those of a GPU's table of the same type (:class:`gnnscale.sampling.FeatureTable`).

    Args:
        values: ``[nodes, channels]``: bits of 16-bit floats as uint16, or int8.
        scale: float32 ``[channels]``, what int8 values are times to be features; ones for others.
        kind: how they are stored.
    """

    values: NDArray[np.uint16] | NDArray[np.int8]
    scale: NDArray[np.float32]
    kind: SmallType

    @classmethod
    def of(cls, features: NDArray[np.float32], kind: SmallType) -> Self:
        """Store features in fewer bits; every process that does so holds them by itself.

        Args:
            features: ``[nodes, channels]``, in memory or mapped; the whole is never held twice.
            kind: to store them in.

        Raises:
            DataError: a column has what is no number of that type.
        """
        scale = column_scale(features)
        far = np.flatnonzero(~(scale * np.float32(127) <= _MOST[kind]))
        if far.size:
            raise DataError(f"column {far[0]} of the features has values that are no numbers of {kind}")
        if kind != "int8":
            scale = np.ones_like(scale)
        values = np.empty(features.shape, np.int8 if kind == "int8" else np.uint16)
        for rows in chunks(features):
            part = torch.from_numpy(np.array(features[rows], np.float32))
            small = narrow(part, _STORED[kind], torch.from_numpy(scale))
            values[rows] = (small if kind == "int8" else small.view(torch.int16)).numpy().view(values.dtype)
        return cls(values, scale, kind)

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes and channels."""
        return self.values.shape

    def gather(self, nodes: NDArray[np.integer[Any]], threads: int = 1) -> NDArray[np.float32]:
        """Features of nodes, zeros where a node is absent.

        Args:
            nodes: node ids, int, any shape; negative where absent.
            threads: that share the nodes.

        Returns:
            float32 ``[..., channels]``.

        Raises:
            SchemaError: a node id is past the features.
        """
        flat = np.ascontiguousarray(nodes).reshape(-1)
        check_ids(flat, len(self.values))
        found = reused_array((len(flat), self.shape[1]), np.float32)
        source = read_only(self.values)
        copy = _copy_scaled if self.kind == "int8" else _copy_halves if self.kind == "fp16" else _copy_upper
        share_rows(len(flat), threads, lambda rows: copy(source, self.scale, flat[rows], found[rows]))
        return found.reshape(*nodes.shape, self.shape[1])


def gather_features(
    features: NDArray[Any] | StoredFeatures, nodes: NDArray[np.integer[Any]], threads: int = 1
) -> NDArray[Any]:
    """Features of nodes, zeros where a node is absent: of an array as it is, or of what is stored in fewer bits."""
    if isinstance(features, StoredFeatures):
        return features.gather(nodes, threads)
    return gather(features, nodes, threads)


def _half_of(typing_context: Any, bits: Any) -> Any:
    """The float32 of a 16-bit float's bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


# Compiled code leaves the first argument out, which its types don't tell.
_half: Any = intrinsic(_half_of)


@njit(nogil=True, cache=True, inline="always")
def _ask(values, nodes, i):  # type: ignore[no-untyped-def]
    """Have a row brought near that is copied some rows later; ``gather`` does so by itself, which is faster there."""
    if i + AHEAD < len(nodes) and nodes[i + AHEAD] >= 0:
        channels = values.shape[1]
        for k in range(0, channels, LINE // values.itemsize):
            prefetch_line(values, np.int64(nodes[i + AHEAD]) * channels + k)


@njit(nogil=True, cache=True)
def _copy_upper(values, scale, nodes, out):  # type: ignore[no-untyped-def]
    bits = out.view(np.uint32)
    for i in range(len(nodes)):
        _ask(values, nodes, i)
        node = nodes[i]
        for k in range(values.shape[1]):
            bits[i, k] = np.uint32(values[node, k]) << np.uint32(16) if node >= 0 else np.uint32(0)


@njit(nogil=True, cache=True)
def _copy_halves(values, scale, nodes, out):  # type: ignore[no-untyped-def]
    for i in range(len(nodes)):
        _ask(values, nodes, i)
        node = nodes[i]
        for k in range(values.shape[1]):
            out[i, k] = _half(values[node, k]) if node >= 0 else np.float32(0)


@njit(nogil=True, cache=True)
def _copy_scaled(values, scale, nodes, out):  # type: ignore[no-untyped-def]
    for i in range(len(nodes)):
        _ask(values, nodes, i)
        node = nodes[i]
        for k in range(values.shape[1]):
            out[i, k] = np.float32(values[node, k]) * scale[k] if node >= 0 else np.float32(0)

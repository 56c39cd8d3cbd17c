"""Rows of features by node id on the device, from device memory, page-locked host memory or a mapped file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.sampling.backends.triton.installed import tl, triton
from gnnscale.sampling.backends.triton.placement import Location, dtype_of, place_array
from gnnscale.sampling.narrow_features import chunks, column_scale, narrow
from gnnscale.schema import ConfigError

STORED = (torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.int32)
NARROWED = (torch.float32, torch.float16, torch.bfloat16, torch.int8)
"""What float32 features may be stored as."""
GATHERED = (torch.float32, torch.float16, torch.bfloat16)
"""What features are gathered as; codes of categories are stored and gathered as int32."""
_TILE = 1024
"""Values of one program: rows by columns."""
ONCE = 8192
"""Rows of page-locked memory from which on each is read over the bus once, however often it comes; finding them has the
host wait for the sample."""


@dataclass(frozen=True)
class HotRows:
    """A copy, on the device, of the rows that are read most.

    Args:
        slots: row of each node in ``values``, int32 ``[nodes]``; -1 of those that are not there.
        values: ``[rows, dims]`` of the stored type.
    """

    slots: torch.Tensor
    values: torch.Tensor

    @staticmethod
    def bytes_beside(nodes: int) -> int:
        """Of the device's memory, that the slots of so many nodes take."""
        return 4 * nodes


@dataclass(frozen=True)
class FeatureTable:
    """Features of the nodes of a table, where they live; made by :meth:`of`.

    Args:
        values: ``[nodes, dims]`` of the stored type; as they came where they are mapped, rows are then converted when
            they are gathered.
        scale: float32 ``[dims]``, what int8 values are times to be features; None for others.
        placement: where ``values`` are.
        device: that gathers.
        dtype: that they are stored in, of ``STORED``.
        hot: rows of page-locked memory that the device has too; None for no such.
    """

    values: torch.Tensor | NDArray[Any]
    scale: torch.Tensor | None
    placement: Location
    device: torch.device
    dtype: torch.dtype
    hot: HotRows | None = None

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers that are gathered as they are."""
        return self.dtype == torch.int32

    @classmethod
    def of(
        cls,
        values: NDArray[Any] | torch.Tensor,
        device: torch.device,
        placement: Location = "device",
        scale: NDArray[np.float32] | None = None,
        dtype: torch.dtype | None = None,
    ) -> FeatureTable:
        """Bring features to where they are to live, by parts: the whole is never held twice.

        Args:
            values: ``[nodes, dims]``, float32, float16, bfloat16 (a tensor), int8 or int32; as they are mapped, or a
                tensor on the host.
            device: that gathers.
            placement: see :class:`gnnscale.sampling.Placement`.
            scale: ``[dims]``, for int8 values and only for them; :func:`quantise_columns` gives it.
            dtype: to store float32 values in; default: as they are.

        Raises:
            ConfigError: another type, or int8 without its scale.
        """
        own, given = dtype_of(values), scale is not None
        if own not in STORED:
            raise ConfigError(f"features are {own}; one of {', '.join(map(str, STORED))}")
        if given != (own == torch.int8) or (scale is not None and scale.shape != values.shape[1:]):
            shape = None if scale is None else scale.shape
            raise ConfigError(f"int8 features, and only those, have a scale of [dims]; {own} came with {shape}")
        stored = dtype or own
        if stored != own and (own != torch.float32 or stored not in NARROWED):
            raise ConfigError(
                f"features are stored as {stored}; float32 ones as one of {', '.join(map(str, NARROWED))}"
            )
        if stored == torch.int8 and scale is None:
            scale = column_scale(values)
        factors = None if scale is None else torch.from_numpy(np.array(scale, np.float32))
        placed = values
        if placement != "mapped":
            placed = place_array(values, placement, device, stored, lambda part: narrow(part, stored, factors))
        return cls(placed, None if factors is None else factors.to(device), placement, device, stored)

    def with_hot(self, rows: NDArray[np.int64]) -> Self:
        """The same table, of which the device has some rows too.

        Args:
            rows: those that are read most; of a table in page-locked memory.
        """
        assert self.placement == "pinned" and isinstance(self.values, torch.Tensor)
        chosen = torch.from_numpy(np.sort(rows))
        slots = torch.full((len(self.values),), -1, dtype=torch.int32)
        slots[chosen] = torch.arange(len(chosen), dtype=torch.int32)
        values = torch.empty((len(chosen), self.values.shape[1]), dtype=self.dtype, device=self.device)
        for part in chunks(values):
            values[part] = self.values[chosen[part].to(self.values.device)].to(self.device)
        return replace(self, hot=HotRows(slots.to(self.device), values))


def quantise_columns(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Features as int8, each column by a scale of its own: its largest magnitude becomes 127.

    Args:
        values: ``[nodes, dims]``.

    Returns:
        int8 ``[nodes, dims]`` and float32 ``[dims]``; their product is within half a scale of the features.
    """
    scale = column_scale(values)
    small = place_array(
        values,
        "device",
        torch.device("cpu"),
        torch.int8,
        lambda part: narrow(part, torch.int8, torch.from_numpy(scale)),
    )
    return small.numpy(), scale


def gather(table: FeatureTable, nodes: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Features of nodes.

    Args:
        table: of the nodes' table.
        nodes: int32 or int64 ``[...]`` on the table's device, -1 where absent; that they are rows is not looked at.
        dtype: of the result: float32, float16 or bfloat16; int32 for what is stored so.

    Returns:
        ``[..., dims]`` on the device; zeros where a node is absent.

    Raises:
        ConfigError: another ``dtype``.
    """
    allowed = (torch.int32,) if table.whole else GATHERED
    if dtype not in allowed:
        raise ConfigError(f"features are gathered as {dtype}; one of {', '.join(map(str, allowed))}")
    values, rows = table.values, nodes.reshape(-1).contiguous()
    if table.placement == "mapped":
        # The host takes the rows; then they are a table whose rows are in order.
        wanted = rows.cpu().to(torch.int64).clamp(min=0)
        part = torch.from_numpy(values[wanted.numpy()]) if isinstance(values, np.ndarray) else values[wanted]
        values = narrow(part, table.dtype, None if table.scale is None else table.scale.cpu()).to(table.device)
        rows = torch.where(rows < 0, -1, torch.arange(len(rows), device=rows.device))
    assert isinstance(values, torch.Tensor)
    back = None
    near = table.hot is not None and len(table.hot.values) == len(values)
    if table.placement == "pinned" and len(rows) >= ONCE and not near:
        rows, back = torch.unique(rows, return_inverse=True)
    hot = (None, None) if table.hot is None else (table.hot.slots, table.hot.values)
    count, dims = len(rows), values.shape[1]
    out = torch.empty((count, dims), dtype=dtype, device=nodes.device)
    if out.numel():
        columns = min(128, triton.next_power_of_2(dims))
        block = _TILE // columns
        with torch.cuda.device_of(out):
            _gather[(triton.cdiv(count, block), triton.cdiv(dims, columns))](
                values, *hot, table.scale, rows, out, count, dims, COLUMNS=columns, BLOCK=block, WHOLE=table.whole
            )
    return (out if back is None else out[back]).reshape(*nodes.shape, dims)


@triton.jit
def _gather(  # type: ignore[no-untyped-def]
    values,
    slots,
    hot,
    scale,
    rows,
    out,
    count,
    dims,
    COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    WHOLE: tl.constexpr,  # noqa: N803
):
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    node = tl.load(rows + row, mask=row < count, other=-1).to(tl.int64)[:, None]
    kept = column < dims
    if slots is None:
        value = tl.load(values + node * dims + column, mask=(node >= 0) & kept, other=0)
    else:
        slot = tl.load(slots + node, mask=node >= 0, other=-1).to(tl.int64)
        near = tl.load(hot + slot * dims + column, mask=(slot >= 0) & kept, other=0)
        far = tl.load(values + node * dims + column, mask=(node >= 0) & (slot < 0) & kept, other=0)
        value = tl.where(slot >= 0, near, far)
    if not WHOLE:
        value = value.to(tl.float32)
    if scale is not None:
        value *= tl.load(scale + column, mask=kept, other=0)
    tl.store(out + row[:, None] * dims + column, value.to(out.dtype.element_ty), mask=(row < count)[:, None] & kept)

"""The sampling rule as a Triton kernel: a block of frontier nodes a program, and no difference from the reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gnnscale.sampling.backends.triton.installed import tl, triton
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.store import ALWAYS

_LAST, _UNIFORM, _WEIGHTED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
_CODES = {"last": 0, "uniform": 1, "weighted": 2}
_NO_CAP = 2**63 - 1
_ALWAYS = tl.constexpr(int(ALWAYS))
_END_OF_TIME = tl.constexpr(2**31 - 1)
_TILE = 1024
"""Slots of one program: frontier nodes by the fan-out's next power of two."""


@dataclass(frozen=True)
class AdjacencyTensors:
    """CSR of one edge type where a kernel can read it: on the device, or in page-locked memory of the host.

    Args:
        indptr: int64 ``[nodes + 1]``.
        neighbors: int32 ``[edges]``, ascending in time within a source.
        times: int32 ``[edges]``, seconds after the graph's origin.
        cumulative: int64 ``[edges + 1]``, the bits of the running sum of weights; None where edges have no weight.
    """

    indptr: torch.Tensor
    neighbors: torch.Tensor
    times: torch.Tensor
    cumulative: torch.Tensor | None = None


@dataclass(frozen=True)
class DrawKeys:
    """What the kernel makes the key of each example of.

    Args:
        values: int64 ``[batch]``: bits of the keys; with a stream, identities of the examples, and of seeds, their ids.
        stream: int64 ``[1]``, the bits of the key of a hop's draws, which identities are mixed with as in
            :func:`gnnscale.sampling.keys.example_keys`; None for keys that are made.
        of_seeds: whether an identity is the hash of seed and anchor, :func:`gnnscale.sampling.keys.default_examples`.
    """

    values: torch.Tensor
    stream: torch.Tensor | None = None
    of_seeds: bool = False


def sample_neighbors(
    adjacency: AdjacencyTensors,
    frontier: torch.Tensor,
    anchors: torch.Tensor,
    keys: torch.Tensor | DrawKeys,
    fanout: int,
    rule: Rule,
    valid_until: torch.Tensor | None = None,
    edges: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What :meth:`gnnscale.sampling.SamplerBackend.fill_neighbors` gives, on the frontier's device.

    Frontier, anchors and keys are on one device. That frontier nodes are nodes of the graph is not looked at, which
    would have the host wait for the device.

    Args:
        adjacency: of the edge type to follow.
        frontier: int32 or int64 ``[batch, width]``, -1 where absent.
        anchors: int32 ``[batch]``, seconds after the graph's origin.
        keys: int64 (or uint64) ``[batch]``, the bits of one key an example, or what the kernel makes them of.
        fanout: most neighbors a node.
        rule: strategy and cap.
        valid_until: int32 ``[nodes of the target]``, from when on a node no longer holds, device or page-locked: slots
            of nodes that have ended by their anchor stay empty, as
            :func:`~gnnscale.sampling.neighbor_sampler.drop_ended` leaves them. None where none ends.
        edges: int64 ``[1]``, which the number of neighbors that are found is added to.

    Returns:
        Nodes and edge times, each int32 ``[batch, width, fanout]``, -1 and ``ALWAYS`` where absent.
    """
    batch, width = frontier.shape
    keys = keys if isinstance(keys, DrawKeys) else DrawKeys(keys)
    assert anchors.dtype == torch.int32 and anchors.shape == keys.values.shape == (batch,)
    nodes = torch.empty((batch, width, fanout), dtype=torch.int32, device=frontier.device)
    times = torch.empty_like(nodes)
    rows = batch * width
    if rows == 0:
        return nodes, times
    strategy = _CODES[rule.strategy]
    if rule.strategy == "weighted" and adjacency.cumulative is None:
        strategy = _CODES["uniform"]
    columns = triton.next_power_of_2(fanout)
    block = max(1, min(_TILE // columns, triton.next_power_of_2(rows)))
    # Triton launches on the current device, which need not be the tensors'.
    with torch.cuda.device_of(frontier):
        _sample[(triton.cdiv(rows, block),)](
            adjacency.indptr,
            adjacency.neighbors,
            adjacency.times,
            adjacency.cumulative if strategy == _CODES["weighted"] else None,
            valid_until,
            frontier.contiguous(),
            anchors.contiguous(),
            keys.values.view(torch.int64).contiguous(),
            keys.stream,
            nodes,
            times,
            edges,
            rows,
            width,
            _NO_CAP if rule.cap is None else rule.cap,
            STRATEGY=strategy,
            FANOUT=fanout,
            COLUMNS=columns,
            BLOCK=block,
            OF_SEEDS=keys.of_seeds,
            num_warps=2,
        )
    return nodes, times


def is_interpreted() -> bool:
    """Whether Triton was loaded as an interpreter, whose kernels run on the CPU and on no device."""
    return not isinstance(_sample, triton.JITFunction)


@triton.jit
def _mix(value):  # type: ignore[no-untyped-def]
    """As :func:`gnnscale.sampling.keys.mix`, of uint64."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB
    return value ^ (value >> 31)


@triton.jit
def _draw(keys, slots):  # type: ignore[no-untyped-def]
    """As :func:`gnnscale.sampling.keys.draw`: uint64, of uint64 keys and int64 slots."""
    return _mix(keys + (slots + 1).to(tl.uint64) * 0x9E3779B97F4A7C15)


@triton.jit
def _find_past(array, base, low, high, limit):  # type: ignore[no-untyped-def]
    """First position of ``low .. high - 1`` where ``array - base`` is more than ``limit``, else ``high``."""
    span = tl.max(high - low, axis=0)
    while span > 0:
        middle = (low + high) >> 1
        searching = low < high
        value = tl.load(array + middle, mask=searching, other=0) - base
        # Where low is high already, both stay.
        below = searching & (value <= limit)
        high = tl.where(searching & (value > limit), middle, high)
        low = tl.where(below, middle + 1, low)
        span = tl.max(high - low, axis=0)
    return low


@triton.jit
def _floyd(low, count, keys, slots, FANOUT: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """Floyd's algorithm for ``[block]`` nodes at once: draws one after the other, the look for a draw among those
    before it in all columns together. Positions int64 ``[block, columns]``; rows of ``count <= FANOUT`` hold nothing of
    use."""
    column = tl.arange(0, COLUMNS)[None, :]
    # A node has fewer than 2**31 edges, and half the width of a position halves the registers.
    chosen = tl.full((BLOCK, COLUMNS), -1, tl.int32)
    first = tl.maximum(count - FANOUT, 0)
    for j in range(FANOUT):
        top = first + j
        bits = _draw(keys, slots * FANOUT + j)
        position = (((bits >> 32) * (top + 1).to(tl.uint64)) >> 32).to(tl.int32)
        again = tl.max((chosen == position[:, None]).to(tl.int32), axis=1) > 0
        position = tl.where(again, top.to(tl.int32), position)
        chosen = tl.where(column == j, position[:, None], chosen)
    return low[:, None] + chosen.to(tl.int64)


@triton.jit
def _successive(  # type: ignore[no-untyped-def]
    cumulative,
    low,
    high,
    drawing,
    keys,
    slots,
    FANOUT: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Successive sampling for ``[block]`` nodes at once, of those that are ``drawing``.

    The reference pushes a draw past the drawn intervals in order of start. Let an interval's threshold be its start
    less the widths of the drawn intervals before it: a draw is pushed past exactly the intervals whose threshold it
    reaches, so that neither an order nor one step after the other is needed. A new interval's threshold is its start
    less what pushed its draw, and takes its width off the thresholds that lie after it. Positions int64
    ``[block, columns]``.
    """
    column = tl.arange(0, COLUMNS)[None, :]
    chosen = tl.zeros((BLOCK, COLUMNS), tl.int64)
    thresholds = tl.zeros((BLOCK, COLUMNS), tl.int64)
    widths = tl.zeros((BLOCK, COLUMNS), tl.int64)
    base = tl.load(cumulative + low, mask=drawing, other=0)
    # Differences are right modulo 2**64, and widths of a node's edges together are under 2**63.
    left = tl.load(cumulative + high, mask=drawing, other=0) - base
    for j in range(FANOUT):
        place = tl.umulhi(_draw(keys, slots * FANOUT + j), left.to(tl.uint64)).to(tl.int64)
        passed = (column < j) & (place[:, None] >= thresholds)
        pushed = tl.sum(tl.where(passed, widths, 0), axis=1)
        # The first bound past the place ends its interval.
        end = _find_past(cumulative, base, tl.where(drawing, low + 1, 0), tl.where(drawing, high, 0), place + pushed)
        start = tl.load(cumulative + end - 1, mask=drawing, other=0) - base
        width = tl.load(cumulative + end, mask=drawing, other=0) - base - start
        thresholds = tl.where(passed, thresholds, thresholds - width[:, None])
        thresholds = tl.where(column == j, (start - pushed)[:, None], thresholds)
        widths = tl.where(column == j, width[:, None], widths)
        chosen = tl.where(column == j, (end - 1)[:, None], chosen)
        left -= width
    return chosen


@triton.jit
def _sample(  # type: ignore[no-untyped-def]
    indptr,
    neighbors,
    stamps,
    cumulative,
    valid_until,
    frontier,
    anchors,
    keys,
    stream,
    nodes,
    times,
    edges,
    rows,
    width,
    cap,
    STRATEGY: tl.constexpr,  # noqa: N803
    FANOUT: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    OF_SEEDS: tl.constexpr,  # noqa: N803
):
    entry = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = entry < rows
    example, slots = entry // width, entry % width
    node = tl.load(frontier + entry, mask=inside, other=-1)
    anchor = tl.load(anchors + example, mask=inside, other=0)
    key = tl.load(keys + example, mask=inside, other=0).to(tl.uint64, bitcast=True)
    if OF_SEEDS:
        key = _mix(_mix(key) ^ anchor.to(tl.int64).to(tl.uint64, bitcast=True))
    if stream is not None:
        key = _mix(tl.load(stream).to(tl.uint64, bitcast=True) + (key + 1) * 0x9E3779B97F4A7C15)
    low = tl.load(indptr + node, mask=node >= 0, other=0)
    high = tl.load(indptr + node + 1, mask=node >= 0, other=0)
    # The latest edge tells mostly that all are early enough, and then there is nothing to search.
    latest = tl.load(stamps + high - 1, mask=high > low, other=_ALWAYS)
    high = _find_past(stamps, 0, tl.where(latest <= anchor, high, low), high, anchor)
    low = tl.maximum(low, high - cap)
    count = high - low
    column = tl.arange(0, COLUMNS)[None, :]
    places = (high - 1)[:, None] - column
    if STRATEGY != _LAST:
        drawing = count > FANOUT
        if tl.max(drawing.to(tl.int32), axis=0) > 0:
            if STRATEGY == _WEIGHTED:
                drawn = _successive(cumulative, low, high, drawing, key, slots, FANOUT, COLUMNS, BLOCK)
            else:
                drawn = _floyd(low, count, key, slots, FANOUT, COLUMNS, BLOCK)
            places = tl.where(drawing[:, None], drawn, places)
    taken = column < tl.minimum(count, FANOUT)[:, None]
    found = tl.load(neighbors + places, mask=taken, other=-1)
    time = tl.load(stamps + places, mask=taken, other=_ALWAYS)
    if valid_until is not None:
        end = tl.load(valid_until + found, mask=taken, other=_END_OF_TIME)
        ended = taken & (end <= anchor[:, None]) & (anchor < _END_OF_TIME)[:, None]
        found = tl.where(ended, -1, found)
        time = tl.where(ended, _ALWAYS, time)
    if edges is not None:
        tl.atomic_add(edges, tl.sum(tl.sum((found >= 0).to(tl.int64), axis=1), axis=0), sem="relaxed")
    out = entry[:, None] * FANOUT + column
    kept = inside[:, None] & (column < FANOUT)
    tl.store(nodes + out, found, mask=kept)
    tl.store(times + out, time, mask=kept)

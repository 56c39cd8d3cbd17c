"""Scan and scores as Triton kernels: the scores of a tile are compared where they are made, and never written."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gnnscale.retrieval.index.gpu.compared import Asked, Compared
from gnnscale.retrieval.index.gpu.plan import CELLS

TILE = (128, 64)
"""Queries and targets of one product; compiled for compute capability 9.0, larger ones spill registers."""
WHOLE = 128
"""Widths up to which a product is of all channels."""
CHUNK = 64
"""Channels of one product of wider vectors: of 128, three stages of both sides would take 262,144 bytes of shared
memory where there are 256; a block has 232,448 at compute capability 9.0, and 166,912 at 8.0."""
WARPS, STAGES = 8, 3
"""Of a scan: what its products are compiled for."""
STEPS = 128
"""Tiles of targets that one program looks at."""
APPENDING = 1024
"""Programs that append what passes in the tiles that were listed."""
SCORED = 32
"""Candidates that one program scores."""


def scan(
    asked: Asked, limits: Tensor, targets: Compared, start: int, stop: int, counts: Tensor, positions: Tensor
) -> None:
    """As :func:`gnnscale.retrieval.index.gpu.plain.scan`; candidates of a query come in any order.

    A first kernel lists the tiles in which anything passes, a second one computes these again and appends what does:
    so the first, which sees all tiles, holds little more than a product.
    """
    rows, width = asked.values.shape
    sizes = {"WIDTH": width, "CHUNK": chunk_of(width), "QUERIES": TILE[0], "TARGETS": TILE[1]}
    how = {**sizes, "WIDEN": is_interpreted(), "num_warps": WARPS, "num_stages": STAGES}
    compared = asked.values, asked.slack, limits, targets.values, targets.lengths, targets.halves
    blocks, tiles = triton.cdiv(rows, TILE[0]), triton.cdiv(stop - start, TILE[1])
    # As many tiles at once as there is room to list.
    together = min(tiles, max(STEPS, CELLS // blocks))
    hits = torch.empty(blocks * together, dtype=torch.int32, device=counts.device)
    for first in range(0, tiles, together):
        some, begin = min(together, tiles - first), start + first * TILE[1]
        end, found = min(stop, begin + some * TILE[1]), torch.zeros(1, dtype=torch.int32, device=counts.device)
        with torch.cuda.device_of(asked.values):
            # One axis: CUDA's others end at 65,535. Programs side by side look at the same targets for other queries,
            # so that these are read from memory once.
            programs = blocks * triton.cdiv(some, STEPS)
            _scan[(programs,)](*compared, hits, found, rows, begin, end, STEPS=STEPS, **how)
            room, programs = positions.shape[1], min(blocks * some, APPENDING)
            _append[(programs,)](*compared, hits, found, counts, positions, rows, begin, end, room, **how)


def chunk_of(width: int) -> int:
    """Channels of one product, of vectors of a width of :func:`~gnnscale.retrieval.index.gpu.compared.width_for`."""
    return width if width <= WHOLE else CHUNK


def score(queries: Tensor, vectors: Tensor, positions: Tensor, counts: Tensor, euclidean: bool) -> Tensor:
    """As :func:`gnnscale.retrieval.index.gpu.plain.score`; vectors on the host are page-locked and read in place."""
    rows, width = positions.shape
    found = torch.empty((rows, width), device=queries.device)
    channels = queries.shape[1]
    with torch.cuda.device_of(queries):
        _score[(rows * triton.cdiv(width, SCORED),)](
            queries,
            vectors,
            positions,
            counts,
            found,
            width,
            positions.stride(0),
            CHANNELS=channels,
            CHUNK=min(WHOLE, triton.next_power_of_2(channels)),
            SCORED=SCORED,
            EUCLIDEAN=euclidean,
            num_warps=4,
        )
    return found


def is_interpreted() -> bool:
    """Whether Triton was loaded as an interpreter, whose kernels run on the CPU and on no device."""
    return not isinstance(_scan, triton.JITFunction)


@triton.jit
def _rows(base, rows, channel, WIDTH: tl.constexpr, WIDEN: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """Some channels of some vectors, ``[rows, channels]``."""
    values = tl.load(base + rows.to(tl.int64)[:, None] * WIDTH + channel[None, :])
    # The interpreter multiplies the bits of bf16; as float32 its products are as exact.
    return values.to(tl.float32) if WIDEN else values


@triton.jit
def _past_limits(  # type: ignore[no-untyped-def]
    queries,
    row,
    asked,
    margin,
    limit,
    targets,
    lengths,
    halves,
    place,
    stop,
    WIDTH: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
    WIDEN: tl.constexpr,  # noqa: N803
):
    """How far the targets of a tile are past the limits of its queries, ``[queries, targets]``; NaN past ``stop``."""
    channel = tl.arange(0, CHUNK)
    # Products are added up from minus the limit on; what is read in the place of a target past the end has no length.
    length = tl.load(lengths + place, mask=place < stop, other=float("nan"))[None, :]
    place = tl.minimum(place, stop - 1)
    found = margin * length - limit
    if halves is not None:
        found -= tl.load(halves + place)[None, :]
    found = tl.dot(asked, tl.trans(_rows(targets, place, channel, WIDTH, WIDEN)), found)
    for more in range(CHUNK, WIDTH, CHUNK):
        left = _rows(queries, row, channel + more, WIDTH, WIDEN)
        found = tl.dot(left, tl.trans(_rows(targets, place, channel + more, WIDTH, WIDEN)), found)
    return found


# Sizes differ from call to call, and none is worth a program of its own.
@triton.jit(do_not_specialize=["rows", "start", "stop"])
def _scan(  # type: ignore[no-untyped-def]
    queries,
    slack,
    limits,
    targets,
    lengths,
    halves,
    hits,
    found,
    rows,
    start,
    stop,
    STEPS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    TARGETS: tl.constexpr,  # noqa: N803
    WIDEN: tl.constexpr,  # noqa: N803
):
    blocks, tiles = tl.cdiv(rows, QUERIES), tl.cdiv(stop - start, TARGETS)
    block = tl.program_id(0) % blocks
    wanted = block * QUERIES + tl.arange(0, QUERIES)
    # No number reaches the limit of a query past the end.
    limit = tl.load(limits + wanted, mask=wanted < rows, other=float("inf"))[:, None]
    row = tl.minimum(wanted, rows - 1)
    margin = tl.load(slack + row)[:, None]
    asked = _rows(queries, row, tl.arange(0, CHUNK), WIDTH, WIDEN)
    first = tl.program_id(0) // blocks * STEPS
    for tile in range(first, tl.minimum(first + STEPS, tiles)):
        place = start + tile * TARGETS + tl.arange(0, TARGETS)
        past = _past_limits(
            queries, row, asked, margin, limit, targets, lengths, halves, place, stop, WIDTH, CHUNK, WIDEN
        )
        if tl.max(tl.max((past >= 0).to(tl.int32), axis=1), axis=0) > 0:
            tl.store(hits + tl.atomic_add(found, 1, sem="relaxed"), tile * blocks + block)


@triton.jit(do_not_specialize=["rows", "start", "stop", "room"])
def _append(  # type: ignore[no-untyped-def]
    queries,
    slack,
    limits,
    targets,
    lengths,
    halves,
    hits,
    found,
    counts,
    positions,
    rows,
    start,
    stop,
    room,
    WIDTH: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    TARGETS: tl.constexpr,  # noqa: N803
    WIDEN: tl.constexpr,  # noqa: N803
):
    blocks = tl.cdiv(rows, QUERIES)
    for hit in range(tl.program_id(0), tl.load(found), tl.num_programs(0)):
        which = tl.load(hits + hit)
        wanted = which % blocks * QUERIES + tl.arange(0, QUERIES)
        limit = tl.load(limits + wanted, mask=wanted < rows, other=float("inf"))[:, None]
        row = tl.minimum(wanted, rows - 1)
        margin = tl.load(slack + row)[:, None]
        asked = _rows(queries, row, tl.arange(0, CHUNK), WIDTH, WIDEN)
        place = start + which // blocks * TARGETS + tl.arange(0, TARGETS)
        passing = (
            _past_limits(queries, row, asked, margin, limit, targets, lengths, halves, place, stop, WIDTH, CHUNK, WIDEN)
            >= 0
        )
        ones = passing.to(tl.int32)
        number = tl.sum(ones, axis=1)
        before = tl.atomic_add(counts + wanted, number, mask=number > 0, sem="relaxed")
        slot = before[:, None] + tl.cumsum(ones, axis=1) - 1
        places = tl.broadcast_to(place[None, :], (QUERIES, TARGETS))
        tl.store(positions + row.to(tl.int64)[:, None] * room + slot, places, mask=passing & (slot < room))


@triton.jit(do_not_specialize=["width", "stride"])
def _score(  # type: ignore[no-untyped-def]
    queries,
    vectors,
    positions,
    counts,
    scores,
    width,
    stride,
    CHANNELS: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
    SCORED: tl.constexpr,  # noqa: N803
    EUCLIDEAN: tl.constexpr,  # noqa: N803
):
    pieces = tl.cdiv(width, SCORED)
    row = (tl.program_id(0) // pieces).to(tl.int64)
    beginning = tl.program_id(0) % pieces * SCORED
    slot = beginning + tl.arange(0, SCORED)
    count = tl.minimum(tl.load(counts + row), width)
    total = tl.zeros((SCORED,), tl.float32)
    meant = slot < count
    if beginning < count:
        place = tl.load(positions + row * stride + slot, mask=meant, other=0).to(tl.int64)
        for first in range(0, CHANNELS, CHUNK):
            channel = first + tl.arange(0, CHUNK)
            kept = channel < CHANNELS
            asked = tl.load(queries + row * CHANNELS + channel, mask=kept, other=0)[None, :]
            taken = tl.load(
                vectors + place[:, None] * CHANNELS + channel[None, :], mask=meant[:, None] & kept[None, :], other=0
            )
            if EUCLIDEAN:
                total -= tl.sum((taken - asked) * (taken - asked), axis=1)
            else:
                total += tl.sum(taken * asked, axis=1)
    tl.store(scores + row * width + slot, tl.where(meant, total, float("-inf")), mask=slot < width)

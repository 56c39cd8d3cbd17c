"""Scan and scores as Triton kernels: the scores of a tile are compared where they are made, and never written."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gnnscale.retrieval.index.gpu.compared import Asked, Compared

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
SCORED = 32
"""Candidates that one program scores."""


def scan(
    asked: Asked, limits: Tensor, targets: Compared, start: int, stop: int, counts: Tensor, positions: Tensor
) -> None:
    """As :func:`gnnscale.retrieval.index.gpu.plain.scan`; candidates of a query come in any order."""
    rows, width = asked.values.shape
    span = STEPS * TILE[1]
    # One axis: CUDA's others end at 65,535. Programs side by side look at the same targets for other queries, so that
    # these are read from memory once.
    programs = triton.cdiv(rows, TILE[0]) * triton.cdiv(stop - start, span)
    with torch.cuda.device_of(asked.values):
        _scan[(programs,)](
            asked.values,
            asked.slack,
            limits,
            targets.values,
            targets.lengths,
            targets.halves,
            counts,
            positions,
            rows,
            start,
            stop,
            positions.shape[1],
            WIDTH=width,
            CHUNK=chunk_of(width),
            SPAN=span,
            QUERIES=TILE[0],
            TARGETS=TILE[1],
            WIDEN=is_interpreted(),
            num_warps=WARPS,
            num_stages=STAGES,
        )


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
def _tile(base, rows, there, channel, WIDTH: tl.constexpr, WIDEN: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """Some channels of some vectors, ``[rows, channels]``."""
    values = tl.load(base + rows.to(tl.int64)[:, None] * WIDTH + channel[None, :], mask=there[:, None], other=0)
    # The interpreter multiplies the bits of bf16; as float32 its products are as exact.
    return values.to(tl.float32) if WIDEN else values


# Sizes differ from call to call, and none is worth a program of its own.
@triton.jit(do_not_specialize=["rows", "start", "stop", "room"])
def _scan(  # type: ignore[no-untyped-def]
    queries,
    slack,
    limits,
    targets,
    lengths,
    halves,
    counts,
    positions,
    rows,
    start,
    stop,
    room,
    WIDTH: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
    SPAN: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    TARGETS: tl.constexpr,  # noqa: N803
    WIDEN: tl.constexpr,  # noqa: N803
):
    blocks = tl.cdiv(rows, QUERIES)
    row = tl.program_id(0) % blocks * QUERIES + tl.arange(0, QUERIES)
    inside = row < rows
    first = start + tl.program_id(0) // blocks * SPAN
    last = tl.minimum(first + SPAN, stop)
    channel = tl.arange(0, CHUNK)
    margin = tl.load(slack + row, mask=inside, other=0)[:, None]
    limit = tl.load(limits + row, mask=inside, other=float("inf"))[:, None]
    asked = _tile(queries, row, inside, channel, WIDTH, WIDEN)
    for begin in range(first, last, TARGETS):
        place = begin + tl.arange(0, TARGETS)
        there = place < last
        # [queries, targets]
        found = tl.dot(asked, tl.trans(_tile(targets, place, there, channel, WIDTH, WIDEN)))
        for more in range(CHUNK, WIDTH, CHUNK):
            left = _tile(queries, row, inside, channel + more, WIDTH, WIDEN)
            right = _tile(targets, place, there, channel + more, WIDTH, WIDEN)
            found = tl.dot(left, tl.trans(right), found)
        found += margin * tl.load(lengths + place, mask=there, other=0)[None, :]
        if halves is not None:
            found -= tl.load(halves + place, mask=there, other=0)[None, :]
        passing = (found >= limit) & inside[:, None] & there[None, :]
        if tl.max(tl.max(passing.to(tl.int32), axis=1), axis=0) > 0:
            ones = passing.to(tl.int32)
            number = tl.sum(ones, axis=1)
            before = tl.atomic_add(counts + row, number, mask=number > 0, sem="relaxed")
            slot = before[:, None] + tl.cumsum(ones, axis=1) - 1
            which = tl.broadcast_to(place[None, :], (QUERIES, TARGETS))
            tl.store(positions + row.to(tl.int64)[:, None] * room + slot, which, mask=passing & (slot < room))


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

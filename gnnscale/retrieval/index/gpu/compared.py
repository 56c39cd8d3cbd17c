"""Vectors in bf16, and how far a score from them may be from the score in fp32."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from gnnscale.schema import DataError

LONGEST = 1e18
"""Lengths up to which no product overflows."""
TAKEN = 65_536
"""Rows that are moved at once."""
_UP = 1 + 2.0**-20
"""More than single precision may round numbers down by."""


@dataclass(frozen=True)
class Compared:
    """Target vectors as they are compared.

    Let ``q'`` and ``v'`` be ``q`` and ``v`` rounded to bf16. By Cauchy and Schwarz
    ``|q'v' - qv| <= |q' - q| |v'| + |q| |v' - v|``, of which the lengths are measured, not bounded; sums of ``d``
    products in single precision, in whatever order and even cut off, are within ``d 2^-23`` of the product of lengths.
    So a target whose score in fp32 reaches a limit reaches it in bf16 once ``slack(q) |v|`` is added, and none is lost.

    Args:
        values: bf16 ``[targets, width]``, filled up with zero channels.
        lengths: of the vectors before rounding, float32 ``[targets]``, not rounded down.
        halves: half their squared lengths, float32 ``[targets]``, not rounded up; None for inner products.
        loss: largest ``|v' - v| / |v|``.
        channels: that are not filled up.
    """

    values: Tensor
    lengths: Tensor
    halves: Tensor | None
    loss: float
    channels: int

    @classmethod
    def room(cls, targets: int, channels: int, euclidean: bool, device: torch.device) -> Compared:
        """For so many targets, to be filled by :meth:`put`."""
        values = torch.zeros((targets, width_for(channels)), dtype=torch.bfloat16, device=device)
        lengths = torch.zeros(targets, device=device)
        return cls(values, lengths, torch.zeros_like(lengths) if euclidean else None, 0.0, channels)

    def put(self, positions: Tensor, vectors: Tensor) -> float:
        """Fill in some targets; the largest ``|v' - v| / |v|`` among them.

        Args:
            positions: int64 ``[rows]``.
            vectors: float32 ``[rows, channels]``.

        Raises:
            DataError: one is too long.
        """
        rounded, lengths, losses = _rounded(vectors, self.values.shape[1])
        _check_lengths(lengths, "target vectors")
        self.values[positions] = rounded
        self.lengths[positions] = (lengths * _UP).float()
        if self.halves is not None:
            self.halves[positions] = (lengths.square() / (2 * _UP)).float()
        return float((losses / lengths.clamp(min=torch.finfo(torch.float64).tiny)).max())

    def take(self, rows: Tensor) -> Compared:
        """Some of the targets, by ascending positions, int64 ``[rows]``; these may be used no more."""
        halves = None if self.halves is None else take_rows(self.halves, rows)
        return replace(self, values=take_rows(self.values, rows), lengths=take_rows(self.lengths, rows), halves=halves)

    def ask(self, queries: Tensor) -> Asked:
        """Queries as they are compared with these targets.

        Args:
            queries: float32 ``[queries, channels]``.

        Raises:
            DataError: one is too long.
        """
        rounded, lengths, losses = _rounded(queries, self.values.shape[1])
        _check_lengths(lengths, "queries")
        # The sums' rounding in fp32; twice in bf16, where they are added to the limit, which is as long as a product
        # where that decides; and a little for the addition of the slack itself.
        sums = (3 * self.channels + 24) * 2.0**-23
        slack = losses * (1 + self.loss) + lengths * (self.loss + sums)
        return Asked(queries, rounded, (slack * _UP).float(), lengths.square() if self.halves is not None else None)


@dataclass(frozen=True)
class Asked:
    """Queries as they are compared.

    Args:
        vectors: float32 ``[queries, channels]``.
        values: bf16 ``[queries, width]``.
        slack: what times a target's length is added to its score, float32 ``[queries]``.
        squares: squared lengths, float64 ``[queries]``; None for inner products.
    """

    vectors: Tensor
    values: Tensor
    slack: Tensor
    squares: Tensor | None

    def take(self, rows: Tensor) -> Asked:
        """Some of the queries, int64 ``[rows]``."""
        squares = self.squares[rows] if self.squares is not None else None
        return Asked(self.vectors[rows], self.values[rows], self.slack[rows], squares)

    def limits(self, scores: Tensor) -> Tensor:
        """What ``q'v' + slack(q) |v|``, by distance less ``|v|^2 / 2``, must reach where a score does.

        Minus the squared distance reaches ``s`` where ``qv - |v|^2 / 2`` reaches ``(s + |q|^2) / 2``.

        Args:
            scores: least of each query, float32 ``[queries]``.

        Returns:
            float32 ``[queries]``.
        """
        if self.squares is None:
            return scores
        # A squared distance is a sum of squares, right to its channels' share of itself.
        share = (self.vectors.shape[1] + 16) * 2.0**-23
        return ((scores.double() * (1 + share) + self.squares / _UP) / 2).float()


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Some rows of a large tensor, in its own memory, which is overwritten.

    Args:
        values: ``[..., ...]``, on any device.
        rows: ascending, int64 ``[rows]``.
    """
    rows = rows.to(values.device)
    for start in range(0, len(rows), TAKEN):
        # No row comes from before where it goes to.
        part = rows[start : start + TAKEN]
        values[start : start + len(part)] = values[part]
    return values[: len(rows)]


def width_for(channels: int) -> int:
    """Channels that a product is made of: what tiles of matrices divide into."""
    if channels > 128:
        return -(-channels // 64) * 64
    return max(16, 1 << (channels - 1).bit_length())


def _rounded(vectors: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors in bf16, filled up; their lengths, and those of what rounding took, float64 ``[rows]``."""
    rounded = vectors.bfloat16()
    exact = vectors.double()
    lost = torch.linalg.vector_norm(exact - rounded.double(), dim=1)
    return functional.pad(rounded, (0, width - vectors.shape[1])), torch.linalg.vector_norm(exact, dim=1), lost


def _check_lengths(lengths: Tensor, what: str) -> None:
    if len(lengths) and (longest := float(lengths.max())) > LONGEST:
        raise DataError(f"{what} are up to {longest:.3g} long; at most {LONGEST:.0e}, or scores overflow: scale them")

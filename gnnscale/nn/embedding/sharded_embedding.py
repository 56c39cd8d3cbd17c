"""An embedding table whose rows are shared out to the processes of a training.

Row r is on rank ``r mod workers``. A look-up sends ids to where the rows are and gets vectors back; :meth:`update`
sends their gradients the same way, and each process changes the rows that it holds. The table is no parameter: neither
data-parallel training, nor the optimizer, nor the running average touches it, and a step costs what was looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from gnnscale.nn.embedding.embedding_init import EmbeddingInit, start_rows
from gnnscale.nn.embedding.row_adagrad import RowAdagrad
from gnnscale.schema import SchemaError

PIECE = 1 << 16
"""Rows that reach a checkpoint at once."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that share a table: this one's number, how many there are, and the device of its rows."""

    rank: int = 0
    workers: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    def exchange(self, parts: list[Tensor]) -> list[Tensor]:
        """Give every process its part, and get one from each, in order of rank.

        Args:
            parts: one a rank, ``[rows, ...]``, of equal trailing shape and type.
        """
        if self.workers == 1:
            return parts
        counts = torch.tensor([len(part) for part in parts], device=self.device)
        theirs = torch.empty_like(counts)
        dist.all_to_all_single(theirs, counts)
        sent = torch.cat(parts)
        sizes = theirs.tolist()
        got = sent.new_empty(sum(sizes), *sent.shape[1:])
        dist.all_to_all_single(got, sent, sizes, counts.tolist())
        return list(got.split(sizes))

    def spread(self, values: Tensor | None, shape: tuple[int, int]) -> Iterator[tuple[int, Tensor]]:
        """Give every process what rank 0 has, in pieces; all have to take part, and to take all that is yielded.

        Args:
            values: float32 of the shape, on rank 0; of no use elsewhere.
            shape: rows and channels.

        Yields:
            Number of the first row, and up to ``PIECE`` rows on the device.
        """
        rows, channels = shape
        for start in range(0, rows, PIECE):
            piece = torch.empty(min(PIECE, rows - start), channels, device=self.device)
            if self.rank == 0:
                assert values is not None
                piece.copy_(values[start : start + PIECE])
            if self.workers > 1:
                dist.broadcast(piece, 0)
            yield start, piece

    def collect(self, own: Tensor, counts: list[int]) -> Iterator[tuple[int, int, Tensor]]:
        """Bring the rows of every process to rank 0, in pieces, from memory of one host to memory of the other.

        All have to take part, and to take all that is yielded.

        Args:
            own: this process's rows, ``[counts[rank], ...]``, of equal trailing shape and type.
            counts: rows of each process.

        Yields:
            On rank 0: whose rows, from which of them on, and up to ``PIECE`` rows on the CPU.
        """
        # Tensors of the CPU don't pass through NCCL, whose buffers would be on rank 0's GPU.
        channel = _host_channel(dist.group.WORLD) if self.workers > 1 and self.device.type != "cpu" else None
        for rank, count in enumerate(counts):
            for start in range(0, count, PIECE):
                size = min(PIECE, count - start)
                if rank == self.rank:
                    piece = own[start : start + size].cpu().contiguous()
                    if rank != 0:
                        dist.send(piece, 0, channel)
                elif self.rank == 0:
                    piece = torch.empty(size, *own.shape[1:], dtype=own.dtype)
                    dist.recv(piece, rank, channel)
                if self.rank == 0:
                    yield rank, start, piece


@cache
def _host_channel(world: Any) -> Any:
    """The processes of the group of all, exchanging what is in memory of their hosts; all have to ask."""
    return dist.new_group(backend="gloo")


@dataclass(frozen=True)
class _Lookup:
    """Rows that a forward pass took: which of this process, for whom, and the vectors that get the gradients."""

    vectors: Tensor
    unique: Tensor
    asked: list[Tensor]


class ShardedEmbedding(nn.Module):
    """Looks rows up wherever they are; every process has to take part in every look-up.

    Args:
        rows: of the whole table.
        channels: of a row.
        law: of the initial values.
        group: that share it.
    """

    def __init__(self, rows: int, channels: int, law: EmbeddingInit, group: ProcessGroup | None = None) -> None:
        super().__init__()
        self.rows, self.channels, self.law = rows, channels, law
        self.group = group or ProcessGroup()
        own = np.arange(self.group.rank, rows, self.group.workers)
        self.table = start_rows(law, own, channels).to(self.group.device)
        """This process's rows: row r of the whole at ``r // workers``."""
        self.adagrad = RowAdagrad(len(own), self.group.device)
        self._lookups: list[_Lookup] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The table itself: a copy of the network looks the same rows up, as they are at the time."""
        return self

    def forward(self, nodes: Tensor) -> Tensor:
        """Rows by number.

        Args:
            nodes: int64, any shape, in ``0 .. rows - 1``.

        Returns:
            ``[..., channels]``. In training, its gradients wait for :meth:`update`.

        Raises:
            SchemaError: a number is no row.
        """
        flat = nodes.reshape(-1)
        if flat.numel() and not 0 <= int(flat.min()) <= int(flat.max()) < self.rows:
            raise SchemaError(f"rows {int(flat.min())} .. {int(flat.max())} are looked up; there are {self.rows:,}")
        unique, inverse = flat.unique(return_inverse=True)
        asked = self.group.exchange(self._deal(unique, unique // self.group.workers))
        found = self.group.exchange([self.table[rows] for rows in asked])
        vectors = self.table.new_empty(len(unique), self.channels)
        for rank, part in enumerate(found):
            vectors[unique % self.group.workers == rank] = part
        if self.training and torch.is_grad_enabled():
            vectors.requires_grad_()
            self._lookups.append(_Lookup(vectors, unique, asked))
        return vectors[inverse].reshape(*nodes.shape, self.channels)

    @torch.no_grad()
    def start_from(self, values: Tensor | None) -> None:
        """Take this process's rows of a table that rank 0 has; all have to take part.

        Args:
            values: ``[rows, channels]`` on rank 0; of no use elsewhere.
        """
        group = self.group
        for start, piece in group.spread(values, (self.rows, self.channels)):
            numbers = torch.arange(start, start + len(piece), device=group.device)
            own = numbers % group.workers == group.rank
            self.table[numbers[own] // group.workers] = piece[own]

    @torch.no_grad()
    def update(self, rate: float) -> None:
        """Take one step with the gradients of all look-ups since the last one, averaged over processes.

        Args:
            rate: the learning rate.
        """
        rows, gradients = [self.table.new_zeros(0, dtype=torch.int64)], [self.table.new_zeros(0, self.channels)]
        for lookup in self._lookups:
            gradient = lookup.vectors.grad
            gradient = torch.zeros_like(lookup.vectors) if gradient is None else gradient
            gradients += self.group.exchange(self._deal(lookup.unique, gradient))
            rows += lookup.asked
        self._lookups.clear()
        changed, inverse = torch.cat(rows).unique(return_inverse=True)
        total = self.table.new_zeros(len(changed), self.channels)
        total.index_add_(0, inverse, torch.cat(gradients))
        self.adagrad.step(self.table, changed, total / self.group.workers, rate)

    def gather(self) -> dict[str, Tensor]:
        """The whole table and its optimizer's state on rank 0, whatever the number of processes.

        Returns:
            ``table`` ``[rows, channels]`` and ``squares`` ``[rows]`` on the CPU; empty on the other ranks. All have
            to ask.
        """
        found = {}
        counts = [len(range(rank, self.rows, self.group.workers)) for rank in range(self.group.workers)]
        for name, own in (("table", self.table), ("squares", self.adagrad.squares)):
            if self.group.rank == 0:
                found[name] = torch.empty(self.rows, *own.shape[1:])
            for rank, start, piece in self.group.collect(own, counts):
                found[name][rank :: self.group.workers][start : start + len(piece)] = piece
        return found

    def load(self, whole: Mapping[str, Tensor]) -> None:
        """Take this process's rows of what :meth:`gather` gave, under any number of processes.

        Raises:
            SchemaError: the table was of another shape.
        """
        if tuple(whole["table"].shape) != (self.rows, self.channels):
            shape = tuple(whole["table"].shape)
            raise SchemaError(f"the table was of {shape}; now it is of {(self.rows, self.channels)}")
        own = slice(self.group.rank, None, self.group.workers)
        self.table.copy_(whole["table"][own])
        self.adagrad.squares.copy_(whole["squares"][own])

    def _deal(self, unique: Tensor, values: Tensor) -> list[Tensor]:
        """Values of rows as one part for each rank that holds some."""
        owner = unique % self.group.workers
        return [values[owner == rank] for rank in range(self.group.workers)]


def sharded_tables(model: nn.Module) -> dict[str, ShardedEmbedding]:
    """The sharded tables of a network by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, ShardedEmbedding)}

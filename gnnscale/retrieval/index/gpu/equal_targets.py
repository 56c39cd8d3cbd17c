"""Targets whose vectors are equal, as those of items that nothing is known of: one is searched, and all are found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnscale.retrieval.index.gpu.ordered import NONE, as_keys, ids_of, scores_of
from gnnscale.retrieval.index.gpu.plan import CELLS

ROWS = 65_536
"""Vectors that are compared at once."""


@dataclass(frozen=True)
class EqualTargets:
    """Which targets have one vector; the one of the smallest id stands for them in the search.

    Args:
        first: smallest ids of every vector, ascending, int64 ``[vectors]``.
        members: ids of all targets, those of one vector side by side in the order of ``first``, ascending, int32
            ``[targets]``.
        indptr: where the members of a vector start, int64 ``[vectors + 1]``.
    """

    first: Tensor
    members: Tensor
    indptr: Tensor

    @classmethod
    def of(cls, first_of: Tensor) -> EqualTargets:
        """Of the smallest id that has each target's vector, int64 ``[targets]``."""
        order = first_of.argsort(stable=True)
        first, sizes = first_of[order].unique_consecutive(return_counts=True)
        return cls(first, order.to(torch.int32), torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]))

    def first_of(self) -> Tensor:
        """The smallest id that has each target's vector, int64 ``[targets]``."""
        found = torch.empty_like(self.members, dtype=torch.int64)
        found[self.members.long()] = self.first.repeat_interleave(self.indptr.diff())
        return found

    def expand(self, keys: Tensor, k: int) -> Tensor:
        """Best targets from the best vectors.

        A target is among the best k only where its vector is: of each vector before, the target of the smallest id
        comes before it.

        Args:
            keys: of the best k vectors, by their smallest ids, or of all where they are fewer, descending, int64
                ``[queries, vectors]``.
            k: targets wanted, at most as many as there are.

        Returns:
            int64 ``[queries, k]``, descending.
        """
        group = torch.searchsorted(self.first, ids_of(keys))
        sizes = (self.indptr[group + 1] - self.indptr[group]).clamp(max=k)
        found = keys[:, :k] if keys.shape[1] >= k else keys.new_full((len(keys), k), NONE)
        rows = (sizes > 1).any(1).nonzero().ravel()
        if not len(rows):
            return found
        # Vectors that k targets are taken from, and those that score as the last of these, whose ids may be smaller.
        scores, before = scores_of(keys[rows]), sizes[rows].cumsum(1) - sizes[rows]
        last = scores.gather(1, (before < k).sum(1, keepdim=True) - 1)
        taken = torch.where(scores >= last, sizes[rows], 0)
        step = max(1, CELLS // int(taken.sum(1).max()))
        found = found.clone()
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            found[rows[part]] = self._best_members(scores[part], group[rows[part]], taken[part], k)
        return found

    def _best_members(self, scores: Tensor, group: Tensor, taken: Tensor, k: int) -> Tensor:
        """Keys of the best k of the first so many members of some groups, each ``[queries, groups]``."""
        flat, totals = taken.reshape(-1), taken.sum(1)
        # [members], query by query: the group that each is of, and which of its members it is.
        entry = torch.arange(len(flat), device=flat.device).repeat_interleave(flat)
        place = torch.arange(len(entry), device=flat.device)
        member = place - (flat.cumsum(0) - flat)[entry]
        ids = self.members[self.indptr[group.reshape(-1)[entry]] + member].long()
        row = entry // taken.shape[1]
        keys = torch.full((len(taken), int(totals.max())), NONE, dtype=torch.int64, device=flat.device)
        keys[row, place - (totals.cumsum(0) - totals)[row]] = as_keys(scores.reshape(-1)[entry], ids)
        return keys.topk(k, dim=1).values


def hash_rows(vectors: Tensor) -> Tensor:
    """A number of 64 bits of each vector, float32 ``[rows, channels]``: equal ones have the same."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, (vectors.shape[1],), generator=generator) * 2 + 1
    return (vectors.contiguous().view(torch.int32).long() * factors.to(vectors.device)).sum(1)


def find_equal(hashes: Tensor, vectors: Tensor, position: Tensor) -> EqualTargets | None:
    """Targets of one vector; None where no two have the same.

    Args:
        hashes: of each target by id, int64 ``[targets]``.
        vectors: float32 ``[targets, channels]``, in any order.
        position: of each target's vector among them, int64 ``[targets]``, where the hashes are.
    """
    ordered, order = hashes.sort(stable=True)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    if bool(starts.all()):
        return None
    first = torch.empty_like(order)
    first[order] = order[starts][starts.cumsum(0) - 1]
    others = (first != torch.arange(len(first), device=first.device)).nonzero().ravel()
    for start in range(0, len(others), ROWS):
        rows = others[start : start + ROWS]
        one, other = (vectors[position[ids].to(vectors.device)] for ids in (rows, first[rows]))
        # What has the hash of another by chance stands for itself.
        apart = rows[(one != other).any(1).to(rows.device)]
        first[apart] = apart
    return EqualTargets.of(first)

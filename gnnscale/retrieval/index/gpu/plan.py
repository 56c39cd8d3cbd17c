"""How a search on a device is cut into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from gnnscale.schema import ConfigError

CELLS = 1 << 25
"""Scores, or positions of candidates, held at once."""
LEAST_ROOM = 64
"""Candidates that there is always room for."""
MORE_ROOM = 16
"""Times the room that queries get which had too many candidates."""


@dataclass(frozen=True)
class SearchPlan:
    """Sizes of the pieces; the result does not depend on them.

    Targets lie in random order and are scanned in stretches that grow. The k-th best score of all that came before is
    a query's limit in the next stretch, so that about ``k * growth`` targets pass in each.

    Args:
        queries: most that are searched for together.
        sample: least targets that the first limit is from.
        growth: of the scanned part, from one stretch to the next.
        fused: whether Triton's kernels search; None where the device is CUDA and there is Triton.

    Raises:
        ConfigError: a number is out of range.
    """

    queries: int = 4096
    sample: int = 8192
    growth: int = 4
    fused: bool | None = None

    def __post_init__(self) -> None:
        for name, least in (("queries", 1), ("sample", 1), ("growth", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} of a search plan is {getattr(self, name)}; at least {least}")

    def sampled(self, k: int, targets: int) -> int:
        """Targets that the first limit is from; at least k."""
        return min(targets, max(self.sample, 16 * k))

    def room(self, k: int, targets: int) -> int:
        """Candidates of a stretch that a query has room for: twice as many as are expected."""
        return min(targets, max(LEAST_ROOM, 2 * self.growth * k))

    def together(self, k: int, targets: int) -> int:
        """Queries that are searched for together."""
        return max(1, min(self.queries, CELLS // max(self.room(k, targets), self.sampled(k, targets))))

    def stretches(self, k: int, targets: int) -> list[tuple[int, int]]:
        """First position of each stretch, and the position after its last."""
        bounds, end = [0], self.sampled(k, targets)
        while bounds[-1] < targets:
            end = min(targets, end * self.growth)
            bounds.append(end)
        return list(pairwise(bounds))

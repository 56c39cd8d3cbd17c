"""What kinds have in common that divide targets into clusters, of which each query looks at the nearest."""

from __future__ import annotations

from typing import Any, ClassVar

from gnnscale.config import Positive, Section
from gnnscale.retrieval.index.index_size import nlist_for
from gnnscale.retrieval.index.kind import IndexKind


class ClusterOptions(Section):
    """Of an index of clusters.

    Args:
        nlist: number of clusters.
        nprobe: clusters looked at for a query.
    """

    nlist: Positive = 1
    nprobe: Positive = 1


class ClusterKind(IndexKind):
    """A kind whose searches are the more thorough, the more clusters they look at."""

    Options: ClassVar[type[Section]] = ClusterOptions
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    width: ClassVar[str | None] = "nprobe"

    @classmethod
    def suggest(cls, targets: int, channels: int) -> dict[str, Any]:
        """As many clusters as suit the targets."""
        return {"nlist": nlist_for(targets)}

    @classmethod
    def most_width(cls, options: Any) -> int:
        """All clusters."""
        return int(options.nlist)

"""An inverted file: clusters, of which each query looks at the nearest."""

from __future__ import annotations

from typing import Any, ClassVar

from gnnscale.config import Positive, Section
from gnnscale.retrieval.index.faiss_kind import FaissKind
from gnnscale.retrieval.index.index_size import nlist_for
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import INDEX_KINDS


class ClusterOptions(Section):
    """Of an index of clusters.

    Args:
        nlist: number of clusters.
        nprobe: clusters looked at for a query.
    """

    nlist: Positive = 1
    nprobe: Positive = 1


@INDEX_KINDS.register("ivf_flat")
class IvfFlat(FaissKind):
    """Scores the targets of the nearest clusters for each query alone."""

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

    @classmethod
    def factory(cls, options: Any, channels: int) -> str:
        """What FAISS's ``index_factory`` calls the index."""
        return f"IVF{options.nlist},Flat"

    @classmethod
    def parameters(cls, options: Any) -> Any:
        """FAISS's parameters of a search."""
        import faiss

        clusters = faiss.SearchParametersIVF()
        clusters.nprobe = options.nprobe
        return clusters

    @classmethod
    def fit(cls, setting: IndexSetting, targets: int) -> IndexSetting:
        """No more clusters than targets."""
        return setting.with_options(nlist=max(1, min(setting.options.nlist, targets)))

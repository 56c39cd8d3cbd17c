"""An inverted file: clusters, of which each query looks at the nearest."""

from __future__ import annotations

from typing import Any

from gnnscale.retrieval.index.cluster_kind import ClusterKind
from gnnscale.retrieval.index.faiss_kind import FaissKind
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import INDEX_KINDS


@INDEX_KINDS.register("ivf_flat")
class IvfFlat(ClusterKind, FaissKind):
    """Scores the targets of the nearest clusters for each query alone."""

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

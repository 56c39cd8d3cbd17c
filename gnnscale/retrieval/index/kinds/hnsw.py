"""A graph of near targets (Malkov and Yashunin, 2018)."""

from __future__ import annotations

from typing import Any, ClassVar

from gnnscale.config import Positive, Section
from gnnscale.retrieval.index.faiss_kind import FaissKind
from gnnscale.retrieval.index.setting import WIDTHS
from gnnscale.schema import INDEX_KINDS


class GraphOptions(Section):
    """Of a graph of targets.

    Args:
        links: of a target.
        ef_search: length of the list of candidates in a search.
    """

    links: Positive = 32
    ef_search: Positive = 32


@INDEX_KINDS.register("hnsw")
class Hnsw(FaissKind):
    """Walks from target to near target."""

    Options: ClassVar[type[Section]] = GraphOptions
    width: ClassVar[str | None] = "ef_search"

    @classmethod
    def most_width(cls, options: Any) -> int:
        """As far as there are steps."""
        return WIDTHS[-1]

    @classmethod
    def factory(cls, options: Any, channels: int) -> str:
        """What FAISS's ``index_factory`` calls the index."""
        return f"HNSW{options.links},Flat"

    @classmethod
    def parameters(cls, options: Any) -> Any:
        """FAISS's parameters of a search."""
        import faiss

        walk = faiss.SearchParametersHNSW()  # type: ignore[attr-defined]
        walk.efSearch = options.ef_search
        return walk

    @classmethod
    def prepare(cls, index: Any, options: Any) -> None:
        """Twice as many candidates as links while the graph is built."""
        import faiss

        faiss.downcast_index(index).hnsw.efConstruction = 2 * options.links  # type: ignore[attr-defined]

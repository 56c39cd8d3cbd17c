"""Which index, and its parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from gnnscale.retrieval.index.metric import Metric
from gnnscale.schema import ConfigError


class IndexKind(StrEnum):
    """Ways to search.

    ``flat`` scores every target. ``grouped`` scores the targets of the nearest clusters for many queries of one
    neighborhood at a time, ``ivf_flat`` for each query alone, and ``ivf_pq`` by four-bit codes, whose best it scores
    again. ``hnsw`` walks a graph of near targets.
    """

    FLAT = "flat"
    GROUPED = "grouped"
    IVF_FLAT = "ivf_flat"
    IVF_PQ = "ivf_pq"
    HNSW = "hnsw"


EFFORTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 16384)
"""Steps by which a search is made more thorough."""


@dataclass(frozen=True)
class IndexSetting:
    """Parameters of an index; those that its kind does not have are ignored.

    Args:
        kind: way to search.
        metric: of the scores.
        lists: clusters of ``grouped``, ``ivf_flat`` and ``ivf_pq``.
        effort: clusters looked at for a query, on average in ``grouped``, which gives hard queries more; of ``hnsw``,
            the length of its candidate list.
        codes: four-bit codes of a vector in ``ivf_pq``.
        refine: times k that ``ivf_pq`` scores again.
        links: of a target in ``hnsw``.
        precision: of the scores by which ``grouped`` chooses what it scores again; ``auto`` takes ``bf16`` where the
            processor multiplies it faster than ``fp32``.
        device: ``cpu``, or ``cuda`` for exact search on a GPU (:mod:`gnnscale.retrieval.index.gpu`) and FAISS's forms
            of the others on GPUs.
        threads: that search; 0 for every core.
        seed: of the sample that clusters are trained on.

    Raises:
        ConfigError: a number is out of range.
    """

    kind: IndexKind = IndexKind.FLAT
    metric: Metric = Metric.INNER_PRODUCT
    lists: int = 1
    effort: int = 1
    codes: int = 64
    refine: int = 4
    links: int = 32
    precision: str = "auto"
    device: str = "cpu"
    threads: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lists", "effort", "codes", "refine", "links"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of an index is {getattr(self, name)}; at least 1")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"precision of an index is '{self.precision}'; one of auto, fp32, bf16")
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"device of an index is '{self.device}'; one of cpu, cuda")
        if self.device == "cuda" and self.kind in (IndexKind.HNSW, IndexKind.IVF_PQ):
            raise ConfigError(f"an index of kind {self.kind} has no form on cuda; take flat, grouped or ivf_flat")
        if self.kind is IndexKind.GROUPED and self.metric is Metric.L2:
            raise ConfigError("a grouped index has no l2; take inner_product, cosine or an index of another kind")

    @property
    def on_device(self) -> bool:
        """Whether it is exact search on a GPU."""
        return self.kind is IndexKind.FLAT and self.device == "cuda"

    @property
    def most_effort(self) -> int:
        """Effort that no more can be made than: of clusters, to look at them all."""
        if self.kind is IndexKind.FLAT:
            return 1
        return EFFORTS[-1] if self.kind is IndexKind.HNSW else self.lists

    def efforts(self) -> list[int]:
        """Efforts worth trying, ascending, up to the most."""
        return [e for e in EFFORTS if e < self.most_effort] + [self.most_effort]

    def with_effort(self, effort: int) -> Self:
        """The same index, searched more or less thoroughly."""
        return replace(self, effort=min(effort, self.most_effort))

    def in_words(self) -> str:
        """Kind and what of its parameters counts most."""
        if self.kind is IndexKind.FLAT:
            return "flat"
        if self.kind is IndexKind.HNSW:
            return f"hnsw of {self.links} links, {self.effort} candidates"
        return f"{self.kind} of {self.lists:,} lists, {self.effort} looked at"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""
        return cls(**{**data, "kind": IndexKind(data["kind"]), "metric": Metric(data["metric"])})

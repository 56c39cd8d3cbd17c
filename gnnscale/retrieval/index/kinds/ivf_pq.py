"""An inverted file of codes: what looks best by four-bit codes is scored again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from gnnscale.config import Positive, Section
from gnnscale.retrieval.index.cluster_kind import ClusterOptions
from gnnscale.retrieval.index.index_size import codes_for
from gnnscale.retrieval.index.kinds.ivf_flat import IvfFlat
from gnnscale.retrieval.index.setting import IndexSetting
from gnnscale.schema import INDEX_KINDS, ConfigError

LEAST_CODED = 256
"""Vectors without which no codes are trained."""
MOST_REFINED = 32
"""Times k beyond which scoring more again does not help."""


class CodeOptions(ClusterOptions):
    """Of an index of coded vectors.

    Args:
        nlist: number of clusters.
        nprobe: clusters looked at for a query.
        codes: four-bit codes of a vector.
        refine: times k that are scored again.
    """

    codes: Positive = 64
    refine: Positive = 4


@INDEX_KINDS.register("ivf_pq")
class IvfPq(IvfFlat):
    """Scores the targets of the nearest clusters by their codes, and the best of them again."""

    Options: ClassVar[type[Section]] = CodeOptions
    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    @classmethod
    def suggest(cls, targets: int, channels: int) -> dict[str, Any]:
        """As many clusters as suit the targets, and codes as suit the channels."""
        return {**super().suggest(targets, channels), "codes": codes_for(channels)}

    @classmethod
    def factory(cls, options: Any, channels: int) -> str:
        """What FAISS's ``index_factory`` calls the index.

        Raises:
            ConfigError: channels can't be divided among the codes.
        """
        if channels % options.codes:
            raise ConfigError(f"{channels} channels can't be divided among {options.codes} codes")
        return f"IVF{options.nlist},PQ{options.codes}x4fsr,RFlat"

    @classmethod
    def parameters(cls, options: Any) -> Any:
        """FAISS's parameters of a search."""
        import faiss

        refine = faiss.IndexRefineSearchParameters()
        refine.k_factor, refine.base_index_params = float(options.refine), super().parameters(options)
        return refine

    @classmethod
    def fit(cls, setting: IndexSetting, targets: int) -> IndexSetting:
        """Of too few vectors to train codes on, the vectors themselves."""
        setting = super().fit(setting, targets)
        if targets >= LEAST_CODED:
            return setting
        own = {name: getattr(setting.options, name) for name in ClusterOptions.model_fields}
        return replace(setting, kind="ivf_flat", options=ClusterOptions(**own))

    @classmethod
    def stronger(cls, setting: IndexSetting) -> IndexSetting | None:
        """More candidates that are scored again."""
        return setting.with_options(refine=MOST_REFINED) if setting.options.refine < MOST_REFINED else None

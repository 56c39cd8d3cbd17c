"""A trained ranking model with the baselines that its lists are made of."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gnnscale.evaluation.blend.blend import Blend
from gnnscale.evaluation.blend.link_blend import LinkBlender
from gnnscale.retrieval import AllowedSearch, Neighbors, RankingModel


class BlendedRankingModel(RankingModel):
    """Ranks targets for entities by the network and the baselines of its blend."""

    def ranked(
        self, search: AllowedSearch, vectors: NDArray[np.float32], entities: NDArray[np.int64], k: int
    ) -> Neighbors:
        """The lists of some entities."""
        if self.settings.model.blend == "off" or self.blend is None or Blend.from_dict(self.blend).is_network:
            return super().ranked(search, vectors, entities, k)
        depth = max(k, self._blender.depth)
        found = search.search(vectors, entities, depth, depth)
        return self._blender.rank(self.anchor, entities, found, search.keep, search.diversity, k)

    @cached_property
    def _blender(self) -> LinkBlender:
        assert self.blend is not None
        return LinkBlender(self.settings, self.lake, self.store, self.query, Blend.from_dict(self.blend))

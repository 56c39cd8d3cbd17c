"""Rows of the model itself in a comparison of lists."""

import numpy as np
import pytest

from gnnscale.evaluation.comparison import BLEND, NETWORK, TOWER
from gnnscale.evaluation.link_holdout import _Lists
from gnnscale.evaluation.list_comparison import PARTS


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("alike", [False, True])
def test_a_network_of_towers_alone_has_no_row_for_them(off: bool, alike: bool) -> None:
    lists, rng = _Lists(4, 3), np.random.default_rng(0)
    network = {part: rng.integers(0, 9, (4, 3)) for part in PARTS}
    tower = dict(network) if alike else {**network, "explore": network["explore"] + 1}
    for name, parts in ((NETWORK, network), (TOWER, tower), (BLEND, network), ("popularity", network)):
        lists.put(name, np.arange(4), parts)
    found = [method.name for method in lists.methods(network["all"], off)]
    other = BLEND if off else NETWORK
    assert found == ["model", other, *([] if alike else [TOWER]), "popularity"]

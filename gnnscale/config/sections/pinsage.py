"""Settings of the network that makes vectors of items from random walks."""

from __future__ import annotations

from gnnscale.config.sections.section import Positive, Section


class PinSageSettings(Section):
    """Of ``model.network: pinsage``: as many convolutions of width ``model.hidden`` one upon the other, and two dense
    layers.

    Args:
        layers: convolutions, and how far neighborhoods reach.
        dims: of an item's vector.
    """

    layers: Positive = 2
    dims: Positive = 256

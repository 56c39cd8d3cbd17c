"""A positive has to score higher than each negative by a margin."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from gnnscale.config import Section
from gnnscale.nn.block_model import TowerVectors
from gnnscale.nn.losses.loss import LinkLoss, tower_scores
from gnnscale.schema import LOSSES


class MarginOptions(Section):
    """Of :class:`MaxMarginLoss`.

    Args:
        margin: by which the positive's score has to be higher, Delta in the paper; of cosines, less than 2.
    """

    margin: Annotated[float, Field(gt=0)] = 0.1


@LOSSES.register("max_margin")
class MaxMarginLoss(LinkLoss):
    """``mean over negatives of max(0, s- - s+ + margin)`` (Ying et al., PinSage, 2018: equation 1).

    An example without negatives counts nothing. How likely a negative was drawn counts nothing either: the mean is
    over the law by which they are drawn.
    """

    Options = MarginOptions
    outputs = TowerVectors
    one_positive = True

    def total(self, outputs: TowerVectors, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`LinkLoss.total`; targets are the positives, ``[batch]``, and then the negatives."""
        assert isinstance(self.options, MarginOptions)
        own, scores = tower_scores(*outputs, present, log_share)
        short = (scores - own.unsqueeze(1) + self.options.margin).clamp(min=0) * present
        return (short.sum(1) / present.sum(1).clamp(min=1)).sum()

"""Binary cross-entropy that sampling does not make overconfident."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from gnnscale.config import Section, Share
from gnnscale.nn.losses.loss import LinkLoss, tower_scores
from gnnscale.nn.sequence.sequence_towers import PositionVectors
from gnnscale.schema import LOSSES


class CalibrationOptions(Section):
    """Of the generalised binary cross-entropy.

    Args:
        calibration: t of the paper: 0 is the plain binary cross-entropy, 1 is fully calibrated.
    """

    calibration: Share = 0.75


def gbce_power(calibration: float, negatives: int, targets: int) -> float:
    """beta = a (t (1 - 1 / a) + 1 / a), a being the share of the targets that is sampled (Petrov and Macdonald, RecSys
    2023: equation 27)."""
    share = min(1.0, negatives / max(1, targets - 1))
    return share * (calibration * (1 - 1 / share) + 1 / share)


@LOSSES.register("gbce")
class GeneralisedBinaryLoss(LinkLoss):
    """``-log sigmoid(s+)^beta - sum log(1 - sigmoid(s-))``, over the number of terms (gSASRec: Petrov and Macdonald,
    RecSys 2023).

    Negatives are as the strategy has them; the calibration is for those that are drawn uniformly.
    """

    Options = CalibrationOptions
    outputs = PositionVectors
    one_positive = True

    def total(self, outputs: PositionVectors, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`LinkLoss.total`; targets are the positives, ``[batch]``, and then the negatives."""
        assert isinstance(self.options, CalibrationOptions)
        own, scores = tower_scores(*outputs, present, log_share)
        power = gbce_power(self.options.calibration, present.shape[1], inputs.catalogue)
        total = -power * logsigmoid(own).sum() + (softplus(scores) * present).sum()
        return total / (1 + present.shape[1])

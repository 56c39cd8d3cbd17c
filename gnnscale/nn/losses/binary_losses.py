"""Losses of logits of what is true or not: one condition, or each of several classes."""

from __future__ import annotations

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from gnnscale.config import Section
from gnnscale.nn.losses.loss import NodeLoss
from gnnscale.nn.target_transform import TargetTransform
from gnnscale.schema import LOSSES


@LOSSES.register("bce")
class BinaryCrossEntropy(NodeLoss):
    """Binary cross-entropy."""

    heads = ("sigmoid",)

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        return functional.binary_cross_entropy_with_logits(outputs, values, reduction="none")


class FocalOptions(Section):
    """Of :class:`FocalLoss`.

    Args:
        focus: exponent, gamma in the paper; with 0 it is the cross-entropy.
    """

    focus: Annotated[float, Field(ge=0)] = 2.0


@LOSSES.register("focal")
class FocalLoss(BinaryCrossEntropy):
    """Binary cross-entropy that looks away from what is easy: ``(1 - p) ** focus`` times it (Lin et al., 2017)."""

    Options = FocalOptions

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        plain = super().terms(outputs, values, transform)
        return plain * (1 - torch.exp(-plain)) ** cast(FocalOptions, self.options).focus

"""Losses of values, in units of their own spread."""

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


@LOSSES.register("l1")
class L1Loss(NodeLoss):
    """Distance; its optimum is the median."""

    heads = ("identity",)

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        return (transform.decode(outputs) - values).abs() / transform.scale


@LOSSES.register("l2")
class L2Loss(NodeLoss):
    """Squared distance; its optimum is the mean."""

    heads = ("identity",)

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        return ((transform.decode(outputs) - values) / transform.scale) ** 2


class HuberOptions(Section):
    """Of :class:`HuberLoss`.

    Args:
        delta: distance up to which it is squared.
    """

    delta: Annotated[float, Field(gt=0)] = 1.0


@LOSSES.register("huber")
class HuberLoss(NodeLoss):
    """Squared up to a distance, then linear: between the median and the mean."""

    heads = ("identity",)
    Options = HuberOptions

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        own, other = transform.decode(outputs) / transform.scale, values / transform.scale
        return functional.huber_loss(own, other, reduction="none", delta=cast(HuberOptions, self.options).delta)


class QuantileOptions(Section):
    """Of :class:`QuantileLoss`.

    Args:
        level: share of the values that lie below the prediction.
    """

    level: Annotated[float, Field(gt=0, lt=1)] = 0.5


@LOSSES.register("quantile")
class QuantileLoss(NodeLoss):
    """Distance, weighed by the side that the value is on; its optimum is the quantile (Koenker and Bassett, 1978)."""

    heads = ("identity",)
    Options = QuantileOptions

    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """As in :meth:`NodeLoss.terms`."""
        over = (values - transform.decode(outputs)) / transform.scale
        level = cast(QuantileOptions, self.options).level
        return torch.maximum(level * over, (level - 1) * over)

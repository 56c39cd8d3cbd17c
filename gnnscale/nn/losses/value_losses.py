"""Losses of values, in units of their own spread."""

from __future__ import annotations

from typing import Annotated, cast

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

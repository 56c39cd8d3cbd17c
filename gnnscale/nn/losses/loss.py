"""What every loss states: what it is for, and its options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gnnscale.config import Implementation, NoOptions, Section, read_options, split_implementation
from gnnscale.nn.target_transform import TargetTransform
from gnnscale.schema import LOSSES, ConfigError


class NodeLoss(ABC):
    """A loss of the outputs for nodes; register it as ``@LOSSES.register("name")``.

    Args:
        options: of :attr:`Options`.
    """

    Options: ClassVar[type[Section]] = NoOptions
    """Its options, as a frozen section."""
    heads: ClassVar[tuple[str, ...]]
    """How the outputs that it takes become predictions: ``identity``, ``sigmoid`` or ``softmax``."""

    def __init__(self, options: Section | None = None) -> None:
        self.options = options or self.Options()

    @abstractmethod
    def terms(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """Loss of every output.

        Args:
            outputs: of the network, ``[examples, scores]``.
            values: labels, ``[examples, labels]``; 0 where unknown.
            transform: of the labels; regression and forecasting alone have one.

        Returns:
            ``[examples, labels]``.
        """

    def total(self, outputs: Tensor, values: Tensor, transform: TargetTransform) -> Tensor:
        """Sum over the examples of each one's mean over its labels; labels that are NaN count nothing."""
        known = ~torch.isnan(values)
        terms = self.terms(outputs, torch.where(known, values, 0.0), transform)
        return (terms * known).sum() / values.shape[1]


class LinkLoss(ABC):
    """A loss of the scores of links; register it as ``@LOSSES.register("name")``.

    Args:
        options: of :attr:`Options`.
        rank_depth: ``training.rank_depth``.
    """

    Options: ClassVar[type[Section]] = NoOptions
    """Its options, as a frozen section."""
    outputs: ClassVar[type]
    """What a network gives that it can be used with."""
    one_positive: ClassVar[bool]
    """Whether an example stands for one of its targets, drawn anew each epoch; else for all of them."""
    all_targets: ClassVar[bool] = False
    """Whether all targets are scored, in their order, and none is sampled."""

    def __init__(self, options: Section | None = None, rank_depth: int = 1000) -> None:
        self.options, self.rank_depth = options or self.Options(), rank_depth

    @abstractmethod
    def total(self, outputs: Any, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        """Sum of the loss over the examples.

        Args:
            outputs: of the network.
            inputs: what the network was given.
            present: which negatives are some of which example, bool ``[batch, negatives]``.
            log_share: log of the chance of each negative, ``[negatives]`` or ``[batch, negatives]``.
        """


Loss = NodeLoss | LinkLoss


def tower_scores(entity: Tensor, target: Tensor, present: Tensor, log_share: Tensor) -> tuple[Tensor, Tensor]:
    """Inner products of the vectors of two towers.

    Args:
        entity: ``[batch, channels]``.
        target: each example's positive, and then the negatives: all examples' ``[batch + negatives, channels]``, or
            each one's own ``[batch + batch * negatives, channels]``.
        present: as in :meth:`LinkLoss.total`.
        log_share: as there; of two dimensions where each example has negatives of its own.

    Returns:
        Scores of the positives, ``[batch]``, and of the negatives, ``[batch, negatives]``.
    """
    positive, negative = target[: len(entity)], target[len(entity) :]
    own = (entity * positive).sum(1)
    if log_share.ndim == 1:
        return own, entity @ negative.T
    return own, torch.einsum("bc,bnc->bn", entity, negative.unflatten(0, present.shape))


class ScoredLoss(LinkLoss):
    """A loss of towers that needs no more than scores, which need not be inner products alone."""

    @abstractmethod
    def of_scores(self, own: Tensor, scores: Tensor, present: Tensor, log_share: Tensor) -> Tensor:
        """Sum of the loss over the examples, by scores.

        Args:
            own: of the positives, ``[batch]``.
            scores: of the negatives, ``[batch, negatives]``.
            present, log_share: as in :meth:`LinkLoss.total`.
        """

    def total(self, outputs: Any, inputs: Any, present: Tensor, log_share: Tensor) -> Tensor:
        """As in :meth:`LinkLoss.total`; targets are the positives, ``[batch]``, and then the negatives."""
        entity, target = outputs
        return self.of_scores(*tower_scores(entity, target, present, log_share), present, log_share)


def fitting_losses(fits: Callable[[type[Loss]], bool], first: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the losses that fit, some of them before the others."""
    found = [name for name in LOSSES.names() if fits(LOSSES.find(name))]
    return tuple(sorted(found, key=lambda name: (first.index(name) if name in first else len(first), name)))


def choose_loss(
    setting: Implementation, fits: Callable[[type[Loss]], bool], what: str, first: Sequence[str] = ()
) -> tuple[type[Any], Section]:
    """The loss that is configured.

    Args:
        setting: ``training.loss``.
        fits: whether a loss is for the task and the network.
        what: these, for the message.
        first: losses that come before others that fit; ``auto`` is the first of these that fits.

    Returns:
        Its class and its options.

    Raises:
        ConfigError: it does not fit, or there is no such loss or option; or ``auto``, and none of the first ones fits.
    """
    name, options = split_implementation(setting)
    allowed = fitting_losses(fits, first)
    if not allowed:
        raise ConfigError(f"no loss fits {what}")
    if name == "auto" and not options:
        # What comes next is in the order of names: whoever registers a loss must not change what others train by.
        if allowed[0] not in first:
            raise ConfigError(f"training.loss=auto has no default for {what}; name one of {', '.join(allowed)}")
        name = allowed[0]
    elif name not in allowed:
        LOSSES.find(name)
        raise ConfigError(f"training.loss={name} does not fit {what}; allowed are auto, {', '.join(allowed)}")
    loss = LOSSES.find(name)
    return loss, read_options(LOSSES.kind, name, loss, options)

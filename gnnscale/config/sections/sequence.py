"""Settings of the network that reads an entity's actions in their order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from gnnscale.config.sections.section import Positive, Section
from gnnscale.schema import ConfigError


class SequenceSettings(Section):
    """What of a sequence ``model.network: sequence`` reads, and its transformer.

    Args:
        length: latest actions that are read.
        layers, heads: of the transformer; heads divide ``model.hidden``, its width.
        feed_forward: width of the layers between, as a multiple of ``model.hidden``.
        causal: whether an action sees those before it alone; objectives with many positions a sequence need that.
        action_type: categorical column of the event table that says what kind of action it was.
        positive_types: its values that count as something to predict; empty for all.
        contexts: further categorical columns of the event table, such as the device.
        numbers: numerical columns of the event table, such as the duration; the graph stage takes the logarithm of
            those that are skewed.
        time_features: of each action: ``age``, the time until the latest action of the sequence, and ``gap``, the time
            since the one before.
        periods_days: of the sines and cosines that both are encoded by, beside their logarithm.
        scores: ``cosine`` of what two dense layers make of an entity's state and of what a target is known by (Pancha
            et al., 2022), or their inner ``product`` as they are, over the root of ``model.hidden`` (SASRec: Kang and
            McAuley, 2018), for which ``model.tower_channels`` is ``model.hidden``.
        temperature: that cosines are divided by at the start; it is learned.
        least_temperature: that it falls to at most.
        frequency: where the share of a target among in-batch negatives is from: ``counts`` of the training examples, a
            ``streaming`` estimate over the batches, or ``none`` for no correction of any negative.
        repeats: whether targets that an entity has had have scores of their own, by how often and when it had them;
            ``auto`` where a twentieth of the known actions repeat an earlier one, and ``training.loss`` is
            ``sampled_softmax``.
        repeated_actions: the latest actions whose targets have such scores, ``length`` at least. A batch has 28 octets
            for each position that is asked about and each target that the entity with the most of them has had.
    """

    length: Positive = 256
    layers: Positive = 2
    heads: Positive = 4
    feed_forward: Positive = 4
    causal: bool = True
    action_type: str | None = None
    positive_types: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    time_features: tuple[Literal["age", "gap"], ...] = ("age", "gap")
    periods_days: tuple[float, ...] = (1 / 24, 0.25, 1.0, 2.0, 7.0, 14.0, 28.0, 91.0, 365.0)
    scores: Literal["cosine", "product"] = "cosine"
    temperature: Annotated[float, Field(gt=0)] = 0.1
    least_temperature: Annotated[float, Field(gt=0)] = 0.01
    frequency: Literal["counts", "streaming", "none"] = "counts"
    repeats: Literal["auto"] | bool = "auto"
    repeated_actions: Positive = 1024

    @field_validator("periods_days")
    @classmethod
    def _over_zero(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for period in value:
            if not period > 0:
                raise ConfigError(f"periods_days has {period}; each is over 0")
        return value

    def check_widths(self, hidden: int, channels: int) -> None:
        """See that the network can be made so wide.

        Args:
            hidden: ``model.hidden``.
            channels: ``model.tower_channels``.

        Raises:
            ConfigError: heads do not divide the width, or there are no towers to change it.
        """
        if hidden % self.heads:
            raise ConfigError(f"model.sequence.heads is {self.heads}, which does not divide model.hidden, {hidden}")
        if self.scores == "product" and channels != hidden:
            raise ConfigError(
                f"model.sequence.scores=product has no towers: model.tower_channels is {channels}, and has to be "
                f"model.hidden, {hidden}"
            )

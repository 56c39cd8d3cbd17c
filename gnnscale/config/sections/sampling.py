"""Settings of neighborhood sampling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gnnscale.config.sections.section import Positive, Probability, Section
from gnnscale.schema import ConfigError


class WalkSettings(Section):
    """Random walks; nodes are as important to a seed as they are visited often (PinSage).

    Args:
        cycle: names of edge types in the order in which they are walked.
        number: walks from each seed.
        length: steps of a walk; default: once around the cycle.
        top: most visited nodes that count.
        step: an edge at random, or ``weighted`` by its weight.
        restart: probability that a walk which has gone around the cycle restarts at its seed.
    """

    cycle: Annotated[tuple[str, ...], Field(min_length=1)]
    number: Positive = 200
    length: Positive | None = None
    top: Positive = 50
    step: Literal["uniform", "weighted"] = "uniform"
    restart: Probability = 0.0


class RootSettings(Section):
    """Root edges of links: each pair of an entity and a target that came true is an example of its own.

    Without bounds all pairs are roots. A pair that meets one of the bounds is one; the others are not learned from, and
    are no negatives either.

    Args:
        demand: least events of the target, of anyone, by the end of the example's window.
        top: targets of the entity, those with the most of its events within the window (of equal ones those of more
            demand, then the smaller node id).
    """

    demand: Positive | None = None
    top: Positive | None = None


class SamplingSettings(Section):
    """Temporal neighborhoods: per hop, how many neighbors along each link; left out, every link is followed.

    Args:
        strategy: which neighbors, where there are more: the ``last``, a ``uniform`` choice, or one ``weighted`` by the
            edges' weights, which is uniform along links that have none.
        entity_hops, target_hops: link name -> fan-out, one mapping a hop, around entities and around targets.
        cap: most edges of a node that are candidates, the latest ones; at least the largest fan-out.
        threads: sampling threads; the sample does not depend on their number.
        walks: of strategy ``walk``, which ``model.network: blocks`` takes instead of fan-outs: the nodes that walks
            from an entity visit most, weighed by their visits.
        roots: which pairs of an entity and a target ``model.network: blocks`` learns links from; default: of each
            example one, drawn anew each epoch.
    """

    strategy: Literal["uniform", "last", "weighted", "walk"] = "last"
    walks: WalkSettings | None = None
    entity_hops: tuple[dict[str, Positive], ...] = ()
    target_hops: tuple[dict[str, Positive], ...] = ()
    cap: Positive | None = None
    threads: Positive = 1
    roots: RootSettings | None = None

    @property
    def neighbors(self) -> Literal["uniform", "last", "weighted"]:
        """The strategy, where fan-outs are followed.

        Raises:
            ConfigError: it is ``walk``.
        """
        if self.strategy == "walk":
            raise ConfigError("sampling.strategy=walk follows no fan-outs; allowed here: last, uniform, weighted")
        return self.strategy

"""What networks over the graph have of their own: vectors of items by walks, and of both sides by smoothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gnnscale.config.sections.section import Positive, Section, ValueText, Weight


class PinSageSettings(Section):
    """Of ``model.network: pinsage``: as many convolutions of width ``model.hidden`` one upon the other, and two dense
    layers.

    Args:
        layers: convolutions, and how far neighborhoods reach.
        dims: of an item's vector.
    """

    layers: Positive = 2
    dims: Positive = 256


class LightGCNSettings(Section):
    """Of ``model.network: lightgcn``.

    Args:
        positives: what is learned from: ``events`` for all pairs of the events up to the first validation anchor, as in
            the paper, ``targets`` for what came true of the query's training examples.
        layers: products with the graph; 0 is matrix factorization.
        dims: of a vector.
        neighbors: most events of a node that a product on samples reads: a uniform draw of them where there are more.
        answers: what products read where weights are judged and vectors are written: the ``whole`` graph, in the memory
            of the device, or ``samples`` as training has them. Training on sharded tables judges by samples.
        start: vectors before training: ``spectral`` for the first singular vectors of the graph, which smoothing would
            leave in the end, ``random`` for drawn ones.
        event_weights: column of the events -> its value -> weight, 0 or more, of events with it; those with another
            value weigh 1. Pairs whose events weigh nothing are not learned from.
    """

    positives: Literal["events", "targets"] = "events"
    layers: Annotated[int, Field(ge=0)] = 2
    dims: Positive = 64
    neighbors: Positive = 16
    answers: Literal["whole", "samples"] = "whole"
    start: Literal["spectral", "random"] = "spectral"
    event_weights: dict[str, dict[ValueText, Weight]] = Field(default_factory=dict)

"""Section ``relations``: edges that are derived from rows; see :mod:`gnnscale.schema.relation` for every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from gnnscale.config.sections.section import Positive, Section, ValueText, Weight
from gnnscale.schema import AttributeRelation, EventRelation, Relation, TogetherRelation


class EventRelationSettings(Section):
    """Edges from rows that name two nodes; see :class:`gnnscale.schema.EventRelation`."""

    kind: Literal["events"]
    event_table: str
    source: str
    target: str
    weight_by: str | None = None
    weights: dict[ValueText, Weight] = Field(default_factory=dict)
    default_weight: Weight = 0.0
    weight: str | None = None
    aggregate: Literal["pair", "none"] = "pair"
    period_days: Positive | None = None

    def named(self, name: str) -> Relation:
        """The relation of that name."""
        return EventRelation(name, **self.model_dump(exclude={"kind"}))


class TogetherRelationSettings(Section):
    """Edges between items that occur together; see :class:`gnnscale.schema.TogetherRelation`."""

    kind: Literal["together"]
    event_table: str
    group: str
    item: str
    within_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    min_count: Positive = 1
    max_neighbors: Positive | None = None
    max_group: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    period_days: Positive | None = None

    def named(self, name: str) -> Relation:
        """The relation of that name."""
        return TogetherRelation(name, **self.model_dump(exclude={"kind"}))


class AttributeRelationSettings(Section):
    """Edges between nodes with the same value; see :class:`gnnscale.schema.AttributeRelation`."""

    kind: Literal["attribute"]
    table: str
    column: str
    max_group: Annotated[int, Field(ge=2)] | None = 1000
    max_neighbors: Positive | None = None

    def named(self, name: str) -> Relation:
        """The relation of that name."""
        return AttributeRelation(name, **self.model_dump(exclude={"kind"}))


RelationSettings = Annotated[
    EventRelationSettings | TogetherRelationSettings | AttributeRelationSettings, Field(discriminator="kind")
]


def declared_relations(sections: Mapping[str, RelationSettings]) -> list[Relation]:
    """The relations of the configuration, in order.

    Raises:
        SchemaError: the keys of one don't go together.
    """
    return [section.named(name) for name, section in sections.items()]

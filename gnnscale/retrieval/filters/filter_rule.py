"""The filter that a configuration asks for, gathered from the lake."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval.filters.allow_lists import OwnCategory
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.filters.own_category import read_categories
from gnnscale.retrieval.filters.read_filters import read_allowed, read_denied
from gnnscale.retrieval.filters.target_conditions import TargetCondition, read_mask
from gnnscale.schema import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilterRule:
    """What entities may be given.

    Args:
        bought: whether they may be given what they have had before.
        conditions: targets must meet all of them.
        own_category: ``any``, ``only`` targets of the entity's own category, or only ``others``.
        entity_category, target_category: columns of the entity's and the target's table that are compared.
        allow, deny: tables of the lake with columns ``entity`` and ``target``; None for no lists.

    Raises:
        ConfigError: ``own_category`` is unknown, or lacks its columns.
    """

    bought: bool = True
    conditions: tuple[TargetCondition, ...] = ()
    own_category: Literal["any", "only", "others"] = "any"
    entity_category: str | None = None
    target_category: str | None = None
    allow: str | None = None
    deny: str | None = None

    def __post_init__(self) -> None:
        if self.own_category not in ("any", "only", "others"):
            raise ConfigError(f"unknown own_category '{self.own_category}'; allowed: any, only, others")
        if self.own_category != "any" and not (self.entity_category and self.target_category):
            raise ConfigError(f"own_category '{self.own_category}' needs entity_category and target_category")


def read_filter(
    lake: Lake, query: PredictiveQuery, rule: FilterRule, valid: NDArray[np.bool_], past: Ragged | None = None
) -> Filter:
    """Gather a filter.

    Args:
        lake: holds ids and nodes, and the tables that the rule names.
        query: bound; its entities and targets are meant.
        rule: what is wanted.
        alive: targets that are there at the anchor, bool ``[targets]``.
        past: what each entity has had by then; needed where ``rule.bought`` is false.

    Raises:
        ConfigError: what was bought is to be left out, and ``past`` is not given.
        LakeError, DataError: a table or a column is missing, or does not fit.
    """
    if not rule.bought and past is None:
        raise ConfigError("what was bought can't be left out where the past is not known")
    entity, target = query.entity.name, query.target.name
    mask = valid.copy()
    for condition in rule.conditions:
        mask &= read_mask(lake, condition, target)
        log.info("filter on %s %s: %s targets left", condition.column, condition.operator, f"{mask.sum():,}")
    denied = past if not rule.bought else None
    if rule.deny is not None:
        lists, everyone = read_denied(lake, rule.deny, entity, target)
        denied = lists if denied is None else denied.union(lists)
        mask &= ~everyone
    allowed = read_allowed(lake, rule.allow, entity, target) if rule.allow is not None else None
    category = None
    if rule.own_category != "any":
        assert rule.entity_category and rule.target_category
        own, other = read_categories(lake, [(entity, rule.entity_category), (target, rule.target_category)])
        category = OwnCategory(own, other, only=rule.own_category == "only")
    return Filter(mask, denied, allowed, category)

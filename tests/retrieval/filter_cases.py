"""Filters with any of their parts, and what they allow, told target by target."""

from __future__ import annotations

import numpy as np

from gnnscale.arrays import Ragged
from gnnscale.retrieval.filters.allow_lists import AllowLists, OwnCategory
from gnnscale.retrieval.filters.filter import Filter


def make_filter(seed: int, entities: int, targets: int, category: str = "any") -> Filter:
    """Each part is there or not, and lets through all, some or nothing."""
    rng = np.random.default_rng(seed)

    def lists() -> list[np.ndarray]:
        shares = rng.choice([0, 0.1, 0.5, 1], entities)
        return [np.flatnonzero(rng.random(targets) < share) for share in shares]

    mask = rng.random(targets) < rng.choice([0, 0.3, 0.9, 1], p=[0.1, 0.3, 0.3, 0.3])
    denied = Ragged.from_lists(lists()) if rng.random() < 0.6 else None
    allowed = None
    if rng.random() < 0.6:
        listed = rng.random(entities) < 0.5
        held = [own if marked else [] for own, marked in zip(lists(), listed, strict=True)]
        allowed = AllowLists(Ragged.from_lists(held), listed)
    rule = None
    if category != "any":
        # Entities also have categories that no target has, and the other way round.
        rule = OwnCategory(rng.integers(-1, 5, entities), rng.integers(-1, 4, targets) + 1, category == "only")
        rule = OwnCategory(rule.entities, np.where(rule.targets == 1, -1, rule.targets), rule.only)
    return Filter(mask, denied, allowed, rule)


def allowed_targets(rule: Filter, entity: int) -> list[int]:
    """Ascending."""
    found = []
    for target in range(len(rule.mask)):
        fine = bool(rule.mask[target])
        if rule.denied is not None:
            fine &= target not in rule.denied.row(entity).tolist()
        if rule.allowed is not None and rule.allowed.listed[entity]:
            fine &= target in rule.allowed.targets.row(entity).tolist()
        if rule.category is not None:
            mine, other = rule.category.entities[entity], rule.category.targets[target]
            fine &= (mine >= 0 and mine == other) == rule.category.only
        if fine:
            found.append(target)
    return found

"""Nodes that no link joins with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pyspark.sql import functions as F

from gnnscale.etl.checks.key_checks import link_keys, own_keys
from gnnscale.etl.sources.raw_tables import RawTable
from gnnscale.etl.spark.side_by_side import run_side_by_side
from gnnscale.schema import LinkManifest


def count_isolated(raw: Mapping[str, RawTable], links: Sequence[LinkManifest]) -> dict[str, int | None]:
    """Rows of each table with a primary key that name no row and are named by none; None for tables without.

    Tables are read again only where the figures of their links leave it open: a table that one link touches, or one
    that a link touches in every row, needs no pass.

    Args:
        raw: the tables.
        links: figures of all links.
    """
    counts = run_side_by_side([partial(_count_isolated, raw, name, links) for name in raw])
    return dict(zip(raw, counts, strict=True))


def _count_isolated(raw: Mapping[str, RawTable], name: str, links: Sequence[LinkManifest]) -> int | None:
    if raw[name].table.primary_key is None:
        return None
    own = [link for link in links if link.table == name]
    pointing = [link for link in links if link.parent == name]
    known = least_untouched(own, pointing)
    return _untouched(raw, name, own, pointing) if known is None else known


def least_untouched(own: Sequence[LinkManifest], pointing: Sequence[LinkManifest]) -> int | None:
    """Rows that no link touches, where the figures of the links alone tell; None where they don't.

    Args:
        own: links of the table.
        pointing: links to the table.
    """
    left = [link.rows - link.edges for link in own] + [link.parents - link.parents_matched for link in pointing]
    return None if len(left) > 1 and min(left) else min(left)


def _untouched(
    raw: Mapping[str, RawTable], name: str, own: Sequence[LinkManifest], pointing: Sequence[LinkManifest]
) -> int:
    columns = [link_keys(raw, link.link).alias(f"own_{i}") for i, link in enumerate(own)]
    rows = raw[name].frame.select(own_keys(raw[name]).alias("key"), *columns)
    for i, link in enumerate(own):
        parents = raw[link.parent].frame.select(own_keys(raw[link.parent]).alias(f"own_{i}"))
        rows = rows.join(parents, f"own_{i}", "left_anti")
    for link in pointing:
        keys = raw[link.table].frame.select(link_keys(raw, link.link).alias("key"))
        rows = rows.join(keys.where(F.col("key").isNotNull()).distinct(), "key", "left_anti")
    return rows.count()

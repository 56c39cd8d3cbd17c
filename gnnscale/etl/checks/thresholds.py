"""What the configuration asks of the rows, against what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gnnscale.config import ChecksSettings, GraphSettings
from gnnscale.etl.checks.checks import TableFigures, check_links, check_tables
from gnnscale.etl.checks.isolated import count_isolated
from gnnscale.etl.checks.key_checks import check_keys
from gnnscale.etl.checks.precedence import check_precedence
from gnnscale.etl.sources.raw_tables import RawTable
from gnnscale.query import epoch_seconds
from gnnscale.schema import DataError, GraphSchema, LinkManifest


def check_rows(
    raw: Mapping[str, RawTable], graph: GraphSchema, settings: GraphSettings
) -> tuple[dict[str, TableFigures], list[LinkManifest], dict[str, int | None]]:
    """Count what reports tell of the rows, and see that it keeps to the configuration.

    Returns:
        Figures of every table, figures of every link, and rows of each table that no link joins with another.

    Raises:
        DataError: keys that are missing, duplicate or match nothing, or a threshold that is not kept to.
    """
    span = settings.time_range
    check_keys(raw, graph.links)
    tables = check_tables(raw, (epoch_seconds(span[0]), epoch_seconds(span[1])) if span else None)
    rate, setting = match_threshold(settings)
    links = check_links(raw, graph.links, {name: table.rows for name, table in tables.items()}, rate, setting)
    links = check_precedence(raw, links, settings.checks.max_early_rate)
    isolated = count_isolated(raw, links)
    check_thresholds(settings.checks, tables, isolated, links)
    return tables, links, isolated


def match_threshold(settings: GraphSettings) -> tuple[float, str]:
    """Least share of the rows with a key that must match a parent, and the key that sets it."""
    if settings.checks.min_match_rate is not None:
        return settings.checks.min_match_rate, "graph.checks.min_match_rate"
    return settings.min_match_rate, "graph.min_match_rate"


def check_thresholds(
    checks: ChecksSettings,
    tables: Mapping[str, TableFigures],
    isolated: Mapping[str, int | None],
    links: Sequence[LinkManifest],
) -> None:
    """See that every table and link keeps to the thresholds of section ``graph.checks``.

    Args:
        checks: the section.
        tables: figures of every table.
        isolated: table -> rows that no link joins with another; None where rows have no key.
        links: figures of every link.

    Raises:
        DataError: one line for each that does not: what it is of, what was measured and allowed, and the key.
    """
    faults = [*_table_faults(checks, tables, isolated), *_link_faults(checks, links)]
    if faults:
        raise DataError("\n".join(faults))


def _table_faults(
    checks: ChecksSettings, tables: Mapping[str, TableFigures], isolated: Mapping[str, int | None]
) -> Iterator[str]:
    for name, figures in tables.items():
        measured = (
            ("max_duplicate_rate", figures.duplicates, "repeat another in every column"),
            ("max_out_of_range_rate", figures.out_of_range, "have a time outside graph.time_range"),
            ("max_isolated_rate", isolated[name], "are joined with no row by any link"),
        )
        for key, count, what in measured:
            most = getattr(checks, key)
            if count is not None and count > most * figures.rows:
                yield _fault(
                    f"table '{name}'", count, figures.rows, f"rows {what}", f"at most {_percent(most)} may", key
                )


def _link_faults(checks: ChecksSettings, links: Sequence[LinkManifest]) -> Iterator[str]:
    for link in links:
        name = f"link {link.link.name}"
        if link.nulls > checks.max_null_rate * link.rows:
            allowed = f"at most {_percent(checks.max_null_rate)} may"
            yield _fault(name, link.nulls, link.rows, "rows have no key", allowed, "max_null_rate")
        if link.parents_matched < checks.min_parent_match_rate * link.parents:
            allowed = f"at least {_percent(checks.min_parent_match_rate)} must"
            what = f"rows of '{link.parent}' are named by a row"
            yield _fault(name, link.parents_matched, link.parents, what, allowed, "min_parent_match_rate")


def _fault(of: str, count: int, among: int, what: str, allowed: str, key: str) -> str:
    return f"{of}: {count:,} of {among:,} {what} ({count / among:.2%}; {allowed}); graph.checks.{key} sets this"


def _percent(share: float) -> str:
    return f"{100 * share:g}%"

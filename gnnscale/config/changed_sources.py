"""Whether the tables of a graph hold other rows than the graph was built from."""

from __future__ import annotations

import logging
from typing import Final

from gnnscale.config.load import build_graph_schema
from gnnscale.config.sections.settings import Settings
from gnnscale.lake import Lake, SourceSnapshot, from_portable, table_source, take_snapshot
from gnnscale.schema import GnnscaleError

log = logging.getLogger(__name__)

GRAPH_SOURCES: Final = "graph_sources"
"""Record of what a graph was built from."""


def changed_sources(settings: Settings, lake: Lake) -> list[str]:
    """Tables whose files or versions are others than those that the lake's graph was built from.

    What can't be looked at, as where a lake was copied and its tables were not, counts as it was. Tables of a warehouse
    or of a catalog are looked at by the graph stage alone.

    Args:
        settings: section ``tables`` counts.
        lake: of the graph.
    """
    record = lake.read_record(GRAPH_SOURCES)
    if record is None:
        return []
    before = from_portable(lake, record)["tables"]
    changed, options = [], settings.lake.storage_options
    for table in build_graph_schema(settings).tables.values():
        if table.name not in before:
            continue
        kept = SourceSnapshot.from_dict(before[table.name])
        try:
            now = take_snapshot(table_source(table, options), options)
        except (GnnscaleError, OSError) as error:
            log.info("whether rows have come to '%s' can't be seen: %s", table.name, error)
            continue
        if (now.version, now.files) != (kept.version, kept.files):
            changed.append(table.name)
    return changed

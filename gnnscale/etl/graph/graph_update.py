"""The lake's graph brought up to its sources: extended where they only grew, built in full otherwise."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pyspark.sql import SparkSession

from gnnscale.config import Settings
from gnnscale.etl.graph.extend import extend_graph
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.sources.new_rows import NotGrownError
from gnnscale.lake import Lake
from gnnscale.schema import MANIFEST_NAME, GraphManifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GraphUpdate:
    """What became of the graph.

    Args:
        manifest: of the graph as it is now.
        added: nodes that it was extended by; None where it was built in full.
        reason: why it was built in full; empty where it was extended.
    """

    manifest: GraphManifest
    added: int | None = None
    reason: str = ""


def update_graph(session: SparkSession, lake: Lake, settings: Settings, rebuild: bool = False) -> GraphUpdate:
    """Extend the lake's graph, or build it in full where it can't be, or where that is asked for.

    Raises:
        LakeError, SchemaError, DataError, QueryError: the input is at fault; the graph is as before.
    """
    reason = "that was asked for"
    if not rebuild:
        before = lake.read_record(MANIFEST_NAME)
        try:
            manifest = extend_graph(session, lake, settings)
        except NotGrownError as obstacle:
            reason = str(obstacle)
        else:
            assert before is not None
            return GraphUpdate(manifest, _live(manifest) - _live(GraphManifest.from_dict(before)))
    log.info("the graph is built in full: %s", reason)
    return GraphUpdate(build_graph(session, lake, settings), None, reason)


def _live(manifest: GraphManifest) -> int:
    return sum(table.rows - table.deleted for table in manifest.tables)

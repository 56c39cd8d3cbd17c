"""The graph stage: raw tables to nodes, edges and statistics, on Spark."""

from __future__ import annotations

from typing import Any

from gnnscale.arrays import memory_limits
from gnnscale.config import RECIPE, build_graph_schema, recipe_record
from gnnscale.lake import source_state, table_source
from gnnscale.pipeline.room import check_disk_for_graph, java_heap
from gnnscale.pipeline.stages.stage import Stage
from gnnscale.schema import MANIFEST_NAME


class GraphStage(Stage):
    """Raw tables to ids, nodes, edges of links and relations, and the manifest."""

    name = "graph"
    help = "build nodes, edges and statistics from raw tables (Spark)"
    on_spark = True
    per_query = False

    def inputs(self) -> dict[str, Any]:
        """Sources, tables and how they are encoded: nothing of any query."""
        options = self.settings.lake.storage_options
        sources = {
            t.name: source_state(table_source(t, options), options)
            for t in build_graph_schema(self.settings).tables.values()
        }
        return {
            "sources": sources,
            "tables": {name: table.model_dump(mode="json") for name, table in self.settings.tables.items()},
            "graph": self.settings.graph.model_dump(mode="json"),
            "relations": {name: relation.model_dump(mode="json") for name, relation in self.settings.relations.items()},
        }

    def outputs(self) -> list[str]:
        """Ids and nodes of every table, and edges."""
        tables = [f"nodes_{name}" for name in self.settings.tables]
        tables += [f"ids_{name}" for name, table in self.settings.tables.items() if table.primary_key]
        if self.work.lake.read_record(MANIFEST_NAME) is not None:
            tables += [edge_type.table_name for edge_type in self.work.manifest.edge_types]
        return tables

    def make(self) -> str:
        """Run on Spark; a graph whose sources only grew is extended."""
        from gnnscale.etl import update_graph

        check_disk_for_graph(self.settings, self.work.lake)
        session = self.work.spark.open(java_heap(self.settings, memory_limits()))
        update = update_graph(session, self.work.lake, self.settings, rebuild=self.work.force)
        manifest = update.manifest
        self.work.lake.write_record(RECIPE, recipe_record(self.settings))
        nodes = sum(table.rows - table.deleted for table in manifest.tables)
        edges = sum(link.edges for link in manifest.links)
        summary = f"{nodes:,} nodes of {len(manifest.tables)} tables, {edges:,} edges of {len(manifest.links)} links"
        if manifest.relations:
            derived = sum(relation.edges for relation in manifest.relations)
            summary += f", {derived:,} of {len(manifest.relations)} relations"
        return summary if update.added is None else f"extended by {update.added:,} nodes to {summary}"

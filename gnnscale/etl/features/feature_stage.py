"""The feature stage: point-in-time features of all examples of a query, and of who is predicted for, in one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from gnnscale.config import Settings, bind_query, plan_query_anchors
from gnnscale.etl.labels.label_stage import POPULATION
from gnnscale.etl.spark.connect import task_slots
from gnnscale.etl.spark.write_tables import read_table, write_table
from gnnscale.features import Candidates, EntityFeatures, PairFeatures
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import ConfigError, GraphManifest
from gnnscale.store import GraphStore

FEATURES: Final = "features_{query}"
"""Table of the features, and record of what its columns are."""

PREDICT: Final = "predict"
"""In the place of a split: who predictions are made for, at their anchor."""

_NAME = re.compile(r"\W+")


def build_features(session: SparkSession, lake: Lake, settings: Settings, manifest: GraphManifest) -> int:
    """Write ``features_<query>``: a row for each example of ``labels_<query>``, and for who is predicted for.

    Columns: ``entity`` (node id), ``anchor_time`` (epoch seconds), ``split`` (``predict`` for those without a label),
    of rankings ``target`` (node id of a candidate) and ``had``; and each feature as float32, null where it is not
    known. Names of columns are letters, digits and underscores; the record of the table's name has the features'.

    Tasks take ranges of entities, map the graph on their host, and run the kernel that batches in memory are made by,
    which computes each row by itself: the bits are the same.

    Returns:
        Rows written.

    Raises:
        ConfigError: the query's events have no times.
    """
    query = bind_query(settings, manifest)
    if query.pseudo_timed_tables:
        raise ConfigError("features are of a time, and the events of a query without a window have none")
    name = settings.query.name
    links = query.task_type.predicts_links
    labels = read_table(session, lake, f"labels_{name}").select("entity", "anchor_time", "split")
    asked = _predicted(session, lake, settings, query, manifest)
    examples = labels if asked is None else labels.unionByName(asked)
    # Figures of targets are of an anchor; an entity's events serve all of its anchors.
    order = ["anchor_time", "entity"] if links else ["entity", "anchor_time"]
    parts = task_slots(session)
    ranges = examples.repartitionByRange(parts, *order).sortWithinPartitions(*order)
    # Opened here, so that the graph of a local lake is mapped once for all tasks.
    rows = FeatureRows(settings, _names(lake, name, GraphStore.open(lake, settings.lake.cache), query), links)
    table = FEATURES.format(query=name)
    version = write_table(lake, table, ranges.mapInArrow(rows, from_arrow_schema(rows.schema)), {"query": name})
    lake.write_record(table, {"columns": dict(zip(rows.columns, rows.names, strict=True)), "version": version})
    return read_table(session, lake, table).count()


@dataclass(frozen=True)
class FeatureRows:
    """From examples to their features, as ``mapInArrow`` takes it.

    Args:
        settings: of the run.
        names: of the features.
        links: whether they are of pairs of an entity and a candidate.
    """

    settings: Settings
    names: tuple[str, ...]
    links: bool

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names that any table takes, each once."""
        found: dict[str, None] = {}
        for name in self.names:
            plain = own = _NAME.sub("_", name).strip("_").lower()
            again = 1
            while own in found:
                again += 1
                own = f"{plain}__{again}"
            found[own] = None
        return tuple(found)

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the rows that are made."""
        first = [("entity", pa.int64()), ("anchor_time", pa.int64()), ("split", pa.string())]
        pairs = [("target", pa.int64()), ("had", pa.bool_())] if self.links else []
        return pa.schema([*first, *pairs, *((column, pa.float32()) for column in self.columns)])

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Features of batches of entity, anchor_time and split."""
        lake = Lake(self.settings.lake.uri, self.settings.lake.storage_options)
        store = GraphStore.open(lake, self.settings.lake.cache)
        query = bind_query(self.settings, store.manifest)
        name = self.settings.query.name
        find = _pair_rows(store, self.settings, query) if self.links else _entity_rows(lake, name, store, query)
        rows = store.features(query.entity.name)
        for batch in batches:
            table = pa.Table.from_batches([batch]).select(["entity", "anchor_time", "split"])
            table = table.cast(pa.schema(list(self.schema)[:3]))
            entities = table["entity"].to_numpy().astype(np.int64)
            anchors = (table["anchor_time"].to_numpy() - store.manifest.origin).astype(np.int32)
            # Of those that are predicted for, who is there.
            asked = np.array([split == PREDICT for split in table["split"].to_pylist()], bool)
            kept = np.flatnonzero(~asked | rows.is_valid_at(entities, anchors))
            yield from self._batches(table.take(pa.array(kept)), *find(entities[kept], anchors[kept]))

    def _batches(
        self,
        examples: pa.Table,
        example: NDArray[np.int64],
        features: NDArray[np.float32],
        pairs: Sequence[NDArray[Any]],
    ) -> Iterator[pa.RecordBatch]:
        if len(example):
            first = examples.take(pa.array(example)).columns
            columns = (*map(pa.array, pairs), *(pa.array(column, from_pandas=True) for column in features.T))
            yield from pa.Table.from_arrays([*first, *columns], schema=self.schema).to_batches()


def _names(lake: Lake, name: str, store: GraphStore, query: PredictiveQuery) -> tuple[str, ...]:
    if query.task_type.predicts_links:
        return PairFeatures(store, query).names
    return EntityFeatures.of_query(lake, name, store, query).names


def _entity_rows(lake: Lake, name: str, store: GraphStore, query: PredictiveQuery) -> Any:
    features = EntityFeatures.of_query(lake, name, store, query)

    def find(entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> Any:
        return np.arange(len(entities)), features.compute(entities, anchors), ()

    return find


def _pair_rows(store: GraphStore, settings: Settings, query: PredictiveQuery) -> Any:
    features, options = PairFeatures(store, query), settings.model.trees
    candidates = Candidates(features, store.features(query.target.name), options.own, options.new)

    def find(entities: NDArray[np.int64], anchors: NDArray[np.int32]) -> Any:
        example, tables, targets, flags = [np.zeros(0, np.int64)], [], [], []
        for anchor in np.unique(anchors):
            rows = np.flatnonzero(anchors == anchor)
            found, had = candidates.find(entities[rows], int(anchor))
            example.append(np.repeat(rows, found.counts))
            tables.append(features.compute(entities[rows], anchors[rows], found))
            targets.append(found.values.astype(np.int64))
            flags.append(had)
        if not tables:
            return example[0], np.zeros((0, len(features.names)), np.float32), ()
        return np.concatenate(example), np.concatenate(tables), (np.concatenate(targets), np.concatenate(flags))

    return find


def _predicted(
    session: SparkSession, lake: Lake, settings: Settings, query: PredictiveQuery, manifest: GraphManifest
) -> DataFrame | None:
    """Who is predicted for, at the anchor of the predictions; None where each is asked at its own time."""
    if query.asks_at_own_time:
        return None
    latest = plan_query_anchors(settings, query, manifest.time_ranges).latest
    if query.where is not None:
        entities = read_table(session, lake, POPULATION.format(query=settings.query.name)).select("entity")
    else:
        nodes = read_table(session, lake, f"nodes_{query.entity.name}")
        entities = nodes.select(F.col("node_id").alias("entity"))
    anchor = F.lit(latest).cast("long").alias("anchor_time")
    return entities.select(F.col("entity").cast("long"), anchor, F.lit(PREDICT).alias("split"))

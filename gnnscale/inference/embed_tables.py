"""The embed stage: tower vectors and pair scores of every entity and target, as Delta tables.

A run is prepared once, its partitions are done by any number of processes, and it is finished once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch

from gnnscale.arrays import remove_older
from gnnscale.config import Settings, bind_query
from gnnscale.inference.batch_inference import BatchInference, model_key, plan_inference, weights_digest
from gnnscale.inference.embedding_rows import TIMESTAMP
from gnnscale.inference.encode import InferenceTask, PartitionEncoder, PartitionTask
from gnnscale.inference.layerwise_inference import LayerPlan, LayerTask, layers_folder
from gnnscale.inference.partition_files import Finished, commit_inference, find_finished, remove_unfinished
from gnnscale.inference.receptive_field_hash import receptive_field_hashes
from gnnscale.inference.unchanged import Digests, LastInference, basis_holds, changed_nodes, find_basis, keep_digests
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

__all__ = [
    "TIMESTAMP",
    "InferenceSummary",
    "PreparedInference",
    "embed",
    "finish_inference",
    "inference_rows",
    "inference_work",
    "prepare_inference",
]


@dataclass(frozen=True)
class InferenceSummary:
    """What a run did.

    Args:
        rows: of all its partitions; a row of an entity and its pairs count once.
        found: rows of partitions that an earlier run had finished.
        encoded: rows that went through the network in this run.
    """

    rows: int
    found: int
    encoded: int

    def in_words(self) -> str:
        """What was not encoded, and why; empty where all was."""
        copied = self.rows - self.found - self.encoded
        parts = [f"{self.found:,} rows were there"] if self.found else []
        return ", ".join(parts + ([f"{copied:,} have not changed"] if copied else []))


@dataclass(frozen=True, eq=False)
class PreparedInference:
    """A run that has begun.

    Args:
        inference: what it writes.
        model: see :func:`gnnscale.inference.batch_inference.model_key`.
        tasks: partitions that are left to do.
        found: rows of partitions that are there.
        digests: of all nodes; None where the next run is not to build on this one.
        layers: states that are to be computed before the partitions; None where there are none.
        waves: of the layers, what is left to do: each needs all of the ones before.
        spared: states of nodes that are there, or that no partition needs any more.
        weights: digest of the model's file.
    """

    inference: BatchInference
    model: str
    tasks: tuple[PartitionTask, ...]
    found: int
    digests: Digests | None
    layers: LayerPlan | None = None
    waves: tuple[tuple[LayerTask, ...], ...] = ()
    spared: int = 0
    weights: str = ""

    @property
    def done(self) -> int:
        """How much of :func:`inference_work` is done before the first task."""
        return self.found + self.spared

    def in_order(self) -> list[tuple[InferenceTask, ...]]:
        """All that is left to do: the tasks of an entry, in any order, after all of the entry before."""
        order: list[tuple[InferenceTask, ...]] = [*self.waves, self.tasks]
        return [tasks for tasks in order if tasks]


def embed(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    anchors: Sequence[int],
    device: torch.device | None = None,
    advance: Callable[[int], None] = lambda rows: None,
    run_nonce: str = "",
) -> InferenceSummary:
    """Write ``embeddings_<entity table>``, ``embeddings_<target table>`` and ``pairs_<query>`` in this process.

    Embeddings have columns node_id, anchor_time and vector; the inner product of an entity's vector with a target's
    is the tower branch's score. Pairs have entity, anchor_time, targets and scores: the targets inside each entity's
    own neighborhood, whose score replaces the tower's.

    A run that was killed leaves the files of the partitions that it finished, and the next one of the same inputs does
    the others.

    Args:
        settings: names the query; section ``embedding`` counts.
        lake: holds the graph and the model.
        store: of the graph.
        anchors: epoch seconds; rows of each are written.
        device: for the model; default: the CPU.
        advance: called with the number of rows that are done.
        run_nonce: a word that no run of these inputs had, to make what is there again.

    Raises:
        LakeError: there is no model, or it does not fit.
    """
    device = device or torch.device("cpu")
    prepared = prepare_inference(settings, lake, store, anchors, device.type, run_nonce)
    advance(prepared.done)
    if prepared.tasks:
        encoder = PartitionEncoder(settings, lake, store, device)
        for task in chain.from_iterable(prepared.in_order()):
            encoder.run(prepared.inference, task)
            advance(len(task))
    return finish_inference(lake, prepared)


def prepare_inference(
    settings: Settings, lake: Lake, store: GraphStore, anchors: Sequence[int], device: str, run_nonce: str = ""
) -> PreparedInference:
    """Find what is left to do, and clear away what runs that never ended have left.

    Args:
        device: type of the devices that will do it, ``cpu`` or ``cuda``: rows of one are not mixed with the other's.

    Raises:
        LakeError: there is no model.
    """
    query = bind_query(settings, store.manifest)
    model, weights = model_key(settings, lake, query, device), weights_digest(lake, settings.query.name)
    digests = _digests(settings, store, query, anchors) if settings.embedding.only_changed else None
    last = find_basis(lake, settings.query.name, model) if digests is not None and not run_nonce else None
    inference = plan_inference(settings, store, query, anchors, model, last.basis if last else None, run_nonce)
    if last and not basis_holds(lake, last, inference):
        last = None
        inference = plan_inference(settings, store, query, anchors, model)
    remove_unfinished(lake, inference)
    finished = find_finished(lake, inference)
    tasks = _tasks(lake, inference, finished, last, digests)
    found = sum(map(len, finished))
    if finished:
        log.info("%d of %d files were there", len(finished), len(inference.partitions))
    # Of this run's layers alone; a run that samples has none.
    remove_older(layers_folder(settings, lake, inference.fingerprint), kept=1)
    if not inference.layerwise:
        return PreparedInference(inference, model, tasks, found, digests, weights=weights)
    plan = LayerPlan.of(settings, lake, store, query, inference.fingerprint)
    left = sorted({task.partition.anchor for task in tasks if task.partition.side in plan.sides})
    waves = plan.waves(store, left, settings.embedding.partition_rows)
    spared = len(anchors) * plan.rows(store) - sum(map(len, chain.from_iterable(waves)))
    return PreparedInference(inference, model, tasks, found, digests, plan, waves, spared, weights)


def finish_inference(lake: Lake, prepared: PreparedInference) -> InferenceSummary:
    """Commit the tables of a run whose tasks are done.

    Raises:
        LakeError: files that were written are gone.
    """
    inference = prepared.inference
    finished = find_finished(lake, inference)
    missing = [partition for partition in inference.partitions if partition not in finished]
    if missing:
        raise LakeError(
            f"{len(missing)} files of the run are gone, such as {inference.file_name(missing[0])}; run it again"
        )
    versions = commit_inference(lake, inference, finished, prepared.weights)
    if prepared.layers is not None:
        prepared.layers.remove()
    if prepared.digests is not None:
        keep_digests(lake, inference, prepared.model, versions, prepared.digests)
    encoded = sum(task.encoded for task in prepared.tasks)
    return InferenceSummary(sum(map(len, inference.partitions)), prepared.found, encoded)


def inference_rows(store: GraphStore, query: PredictiveQuery, anchors: Sequence[int]) -> int:
    """Rows that a run writes: every target and every entity at every anchor."""
    return len(anchors) * sum(store.node_count(table.name) for table in (query.target, query.entity))


def inference_work(settings: Settings, lake: Lake, store: GraphStore, anchors: Sequence[int]) -> int:
    """What a run counts as it goes on: the rows that it writes, and states of nodes that it computes for them."""
    query = bind_query(settings, store.manifest)
    rows = inference_rows(store, query, anchors)
    if settings.embedding.method == "sampled":
        return rows
    return rows + len(anchors) * LayerPlan.of(settings, lake, store, query, "").rows(store)


def _digests(settings: Settings, store: GraphStore, query: PredictiveQuery, anchors: Sequence[int]) -> Digests:
    digests = {}
    for anchor in anchors:
        for side, values in receptive_field_hashes(settings, store, query, anchor - store.manifest.origin).items():
            digests[side, anchor] = values
    return digests


def _tasks(
    lake: Lake, inference: BatchInference, finished: Finished, last: LastInference | None, digests: Digests | None
) -> tuple[PartitionTask, ...]:
    left = [partition for partition in inference.partitions if partition not in finished]
    if last is None or digests is None:
        return tuple(PartitionTask(partition) for partition in left)
    changed = changed_nodes(lake, inference.query, last, digests)
    tasks = []
    for partition in left:
        own = changed[partition.side, partition.anchor][partition.start : partition.stop]
        nodes = None if own.all() else own.nonzero()[0] + partition.start
        tasks.append(PartitionTask(partition, nodes))
    return tuple(tasks)

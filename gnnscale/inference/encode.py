"""One partition of batch inference: from node ids to rows in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gnnscale.arrays import prefetched
from gnnscale.batches import Tensors
from gnnscale.config import Settings
from gnnscale.inference.batch_inference import BatchInference, Partition, Side
from gnnscale.inference.embedding_rows import pair_rows, vector_rows
from gnnscale.inference.layerwise_inference import LayerEncoder, LayerTask
from gnnscale.inference.partition_files import write_partition
from gnnscale.inference.unchanged import read_rows, replace_rows
from gnnscale.lake import Lake
from gnnscale.store import GraphStore
from gnnscale.training import (
    EntityScores,
    LayerwisePredictor,
    as_entity_scores,
    load_link_model,
    with_target_bias,
)


@dataclass(frozen=True, eq=False)
class PartitionTask:
    """What a process does at a time.

    Args:
        partition: whose files it writes.
        changed: node ids to encode, int64, ascending; the other rows are those of the run's basis. None for all.
    """

    partition: Partition
    changed: NDArray[np.int64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.partition)

    @property
    def encoded(self) -> int:
        """Rows that go through the network."""
        return len(self.partition) if self.changed is None else len(self.changed)


InferenceTask = PartitionTask | LayerTask
"""What a process of a run does at a time."""


class PartitionEncoder:
    """A trained model that encodes partitions; the rows are the same whichever process does it.

    Args:
        settings: as the model was trained with; section ``embedding`` and ``training.prefetch`` count too.
        lake: holds the graph and the model, and gets the files.
        store: of the graph.
        device: for the model.

    Raises:
        LakeError: there is no model, or it does not fit.
    """

    def __init__(self, settings: Settings, lake: Lake, store: GraphStore, device: torch.device) -> None:
        self._settings, self._lake, self._store, self._device = settings, lake, store, device
        self._size = settings.embedding.batch_size
        prefetch = settings.training.prefetch
        self._prefetch = (2 if device.type == "cuda" else 0) if prefetch is None else prefetch
        self._origin = store.manifest.origin
        self._model = load_link_model(settings, lake, store, device)
        self._layer_encoder: LayerEncoder | None = None

    def run(self, inference: BatchInference, task: InferenceTask) -> None:
        """Encode a partition and write its files, or compute states that vectors of others come of."""
        if isinstance(task, LayerTask):
            with _one_thread(self._device):
                self._layers(inference).run(task)
            return
        partition, nodes = task.partition, task.changed
        if inference.layerwise and partition.side in self._layers(inference).plan.sides:
            rows = _by_table(inference, partition.side, [self._layered_rows(inference, partition)])
        elif nodes is None:
            rows = self.encode(inference, partition, np.arange(partition.start, partition.stop))
        else:
            rows = {
                table: read_rows(self._lake, inference, table, partition) for table in inference.tables[partition.side]
            }
            if len(nodes):
                fresh = self.encode(inference, partition, nodes)
                rows = {table: replace_rows(rows[table], fresh[table]) for table in rows}
        write_partition(self._lake, inference, partition, rows)

    def encode(self, inference: BatchInference, partition: Partition, nodes: NDArray[np.int64]) -> dict[str, pa.Table]:
        """Rows of some nodes of a partition, by table.

        Args:
            inference: that the partition is of.
            partition: its side and anchor count.
            nodes: int64 ``[rows]``, at least one.
        """
        side, anchor = partition.side, partition.anchor
        size = self._model.targets_at_once if side == "targets" else self._size
        jobs = [partial(self._build, side, anchor, nodes[at : at + size]) for at in range(0, len(nodes), size)]
        with _one_thread(self._device):
            parts = [self._rows(side, batch, anchor) for batch in prefetched(jobs, self._prefetch)]
        return _by_table(inference, side, parts)

    def _build(self, side: Side, anchor: int, nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tensors]:
        make = self._model.target_batch if side == "targets" else self._model.entity_batch
        return nodes, make(nodes, anchor - self._origin)

    def _rows(self, side: Side, batch: tuple[NDArray[np.int64], Tensors], anchor: int) -> tuple[pa.Table, ...]:
        """One batch through the network, a table for each of its side's."""
        nodes, tensors = batch
        if side == "targets":
            return (vector_rows(nodes, anchor, self._model.encode_targets(tensors)),)
        return _entity_rows(nodes, self._model.score_entities(tensors), anchor)

    def _layered_rows(self, inference: BatchInference, partition: Partition) -> tuple[pa.Table, ...]:
        """A table for each of the side's, of vectors that were computed layer by layer."""
        vectors, anchor = self._layers(inference).vectors(partition), partition.anchor
        nodes = np.arange(partition.start, partition.stop)
        if partition.side == "entities":
            return _entity_rows(nodes, as_entity_scores(vectors), anchor)
        assert isinstance(self._model, LayerwisePredictor)  # it has given the layers
        ranked = torch.from_numpy(self._model.are_ranked(nodes, anchor - self._origin))
        found = with_target_bias(torch.from_numpy(np.array(vectors)), ranked)
        return (vector_rows(nodes, anchor, found.numpy()),)

    def _layers(self, inference: BatchInference) -> LayerEncoder:
        if self._layer_encoder is None:
            assert isinstance(self._model, LayerwisePredictor)  # the configuration says so
            self._layer_encoder = LayerEncoder(self._settings, self._lake, self._store, self._model, inference)
        return self._layer_encoder


def _entity_rows(nodes: NDArray[np.int64], found: EntityScores, anchor: int) -> tuple[pa.Table, pa.Table]:
    pairs = pair_rows(nodes, anchor, found.counts, found.targets, found.scores)
    return vector_rows(nodes, anchor, found.vectors), pairs


def _by_table(inference: BatchInference, side: Side, parts: Sequence[tuple[pa.Table, ...]]) -> dict[str, pa.Table]:
    """Batches of rows, a table for each of the side's, put together."""
    columns = zip(*parts, strict=True)
    return {table: pa.concat_tables(own) for table, own in zip(inference.tables[side], columns, strict=True)}


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Sums on a CPU depend on how many threads share them: with one, every process gets the same bits."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

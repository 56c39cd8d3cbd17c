"""Layer-wise inference of entity embeddings: states of all nodes, layer after layer, in files that processes share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from gnnscale.arrays import build_file_once, create_array, name_folder
from gnnscale.config import Settings
from gnnscale.inference.batch_inference import BatchInference, Partition
from gnnscale.inference.layerwise import CHUNK_EDGES, Inputs, Layer, State, layers_of, state_of
from gnnscale.lake import Lake
from gnnscale.nn import HopTree
from gnnscale.query import PredictiveQuery
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training import LayerwisePredictor, find_network, layer_neighbors, layer_paths


@dataclass(frozen=True)
class LayerTask:
    """Consecutive nodes of a table whose states by one layer are computed together.

    Args:
        anchor: epoch seconds.
        layer: layers applied then, from 1.
        index: of the state among those of its layer; see :func:`gnnscale.inference.layerwise.layers_of`.
        start, stop: node ids from ``start`` up to, not including, ``stop``.
    """

    anchor: int
    layer: int
    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """Which states the entities of a run need, and where they are kept until it is finished.

    Args:
        states: by layer.
        folder: on a disk of the host, named by the run.
        sides: whose vectors they are.
    """

    states: tuple[tuple[State, ...], ...] = field(repr=False)
    folder: Path
    sides: tuple[str, ...] = ("entities",)

    @classmethod
    def of(
        cls, settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, fingerprint: str
    ) -> LayerPlan:
        """The plan of a run.

        Args:
            settings: names the query; section ``sampling`` counts.
            lake: of the run.
            store: of the graph.
            query: bound query.
            fingerprint: of the run.

        Raises:
            ConfigError: a hop of ``sampling.entity_hops`` has an unknown link, or leads nowhere.
        """
        tree = HopTree(layer_paths(settings, store, query), query.entity.name)
        states = tuple(map(tuple, layers_of(state_of(tree, (), tree.depth))))
        sides = find_network(settings, query).layered_sides
        return cls(states, layers_folder(settings, lake, fingerprint), sides)

    def rows(self, store: GraphStore) -> int:
        """States of single nodes at one anchor, of all layers."""
        return sum(store.node_count(state.table) for states in self.states for state in states)

    def waves(self, store: GraphStore, anchors: Sequence[int], size: int) -> tuple[tuple[LayerTask, ...], ...]:
        """Tasks that are left to do, by layer: those of one need all of the one before.

        Args:
            store: of the graph.
            anchors: epoch seconds.
            size: nodes of a task.
        """
        waves = []
        for layer, states in enumerate(self.states, start=1):
            tasks = [
                LayerTask(anchor, layer, index, start, min(start + size, store.node_count(state.table)))
                for anchor in anchors
                for index, state in enumerate(states)
                for start in range(0, store.node_count(state.table), size)
            ]
            waves.append(tuple(task for task in tasks if not self._is_done(task)))
        return tuple(wave for wave in waves if wave)

    def file(self, anchor: int, state: State) -> Path:
        """Where a state of all nodes of its table is."""
        return self.folder / str(anchor) / f"layer-{state.layers}-{self.states[state.layers - 1].index(state)}.npy"

    def mark(self, task: LayerTask) -> Path:
        """The file that says that a task is done."""
        cut = f"{task.layer}-{task.index}-{task.start}-{task.stop}"
        return self.folder / str(task.anchor) / f"layer-{cut}.done"

    def is_whole(self, anchor: int, state: State, nodes: int) -> bool:
        """Whether marks tell that the states of so many nodes, all of their table, are there."""
        index = self.states[state.layers - 1].index(state)
        cuts = (self.folder / str(anchor)).glob(f"layer-{state.layers}-{index}-*.done")
        end = 0
        for start, stop in sorted(tuple(map(int, cut.stem.split("-")[-2:])) for cut in cuts):
            if start > end:
                return False
            end = max(end, stop)
        return end == nodes

    def _is_done(self, task: LayerTask) -> bool:
        # A mark without its file tells of states that someone has cleared away.
        state = self.states[task.layer - 1][task.index]
        return self.mark(task).exists() and self.file(task.anchor, state).exists()

    def remove(self) -> None:
        """Remove all files of the run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def layers_folder(settings: Settings, lake: Lake, fingerprint: str) -> Path:
    """Where the layers of a run are, or would be; a run without layers has a folder too, which nobody makes.

    Args:
        settings: names the query, and the cache.
        lake: of the run.
        fingerprint: of the run.
    """
    owner = f"{lake.uri} {settings.query.name}"
    return name_folder(lake.cache_folder(settings.lake.cache), "layers", owner, fingerprint)


class LayerEncoder:
    """Computes states by the network of a tower on blocks.

    Args:
        settings: section ``sampling`` and the seed count.
        lake: of the run.
        store: of the graph.
        predictor: the trained network.
        inference: whose entities are embedded.
    """

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        store: GraphStore,
        predictor: LayerwisePredictor,
        inference: BatchInference,
    ) -> None:
        query = predictor.query
        self.plan = LayerPlan.of(settings, lake, store, query, inference.fingerprint)
        self._store, self._predictor = store, predictor
        self._neighborhoods = layer_neighbors(settings, store, query)
        self._last: tuple[tuple[int, State], Layer] | None = None

    def run(self, task: LayerTask) -> None:
        """Compute the states of a task's nodes, and put them into their file.

        Args:
            task: of the plan; all tasks of the layers before are done.

        Raises:
            LakeError: states of the layer before, or of this one meanwhile, are gone, or the disk has no room for them.
        """
        state = self.plan.states[task.layer - 1][task.index]
        layer, path = self._layer(task.anchor, state), self.plan.file(task.anchor, state)
        build_file_once(path, lambda made: create_array(made, np.float32, layer.shape).flush())
        try:
            rows, opened = open_memmap(path, "r+"), path.stat()
            with torch.no_grad():
                for nodes in layer.chunks(CHUNK_EDGES, task.start, task.stop):
                    rows[nodes] = layer.apply(nodes)
            rows.flush()
            if not os.path.samestat(opened, path.stat()):
                # Cleared away, and made again by another process.
                raise FileNotFoundError
            self.plan.mark(task).touch()
        except FileNotFoundError:
            raise _gone(state, path) from None

    def vectors(self, partition: Partition) -> NDArray[np.float32]:
        """Vectors of a partition's entities, mapped, float32 ``[rows, channels]``.

        Args:
            partition: of entities; all layers at its anchor are done.

        Raises:
            LakeError: they are gone.
        """
        ((final,),) = self.plan.states[-1:]
        rows = self._open(partition.anchor, final)
        return rows[partition.start : partition.stop]

    def _layer(self, anchor: int, state: State) -> Layer:
        # The tasks of a state come one after the other.
        if self._last is None or self._last[0] != (anchor, state):
            network = self._predictor.network
            inputs = Inputs(network, *self._predictor.layer_inputs)
            earlier = {s: self._open(anchor, s) for s in state.needs if s.layers}
            relative = anchor - self._store.manifest.origin
            layer = Layer(network, state, self._store, inputs, earlier, relative, self._neighborhoods)
            self._last = (anchor, state), layer
        return self._last[1]

    def _open(self, anchor: int, state: State) -> NDArray[np.float32]:
        """A state of all nodes of its table, float32 ``[nodes, channels]``, mapped."""
        file = self.plan.file(anchor, state)
        try:
            rows: NDArray[np.float32] = np.load(file, mmap_mode="r")
        except FileNotFoundError:
            raise _gone(state, file) from None
        # A file that was made again after a part of it was done lacks that part's mark.
        if not self.plan.is_whole(anchor, state, len(rows)):
            raise _gone(state, file)
        return rows


def _gone(state: State, file: Path) -> LakeError:
    return LakeError(
        f"states of layer {state.layers} are gone from {file}: something has cleared the folder, or another run of "
        "the query has begun; run the embed stage again"
    )

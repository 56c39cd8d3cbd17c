"""Layer by layer over a whole graph: each node's state is computed once a layer, not once for every seed near it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnscale.arrays import create_array
from gnnscale.batches import CategoryCodes, gather, gather_pooled
from gnnscale.nn import BlockNetwork, HopTree, SAGEConv, own_name
from gnnscale.sampling import END_OF_TIME, LayerNeighbors, Neighborhoods
from gnnscale.sampling import Path as HopPath
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore

CHUNK_EDGES = 1 << 18
"""Neighbors whose states are gathered at once: with 128 channels, 128 MiB."""


@dataclass(frozen=True)
class State:
    """What a network computes of the nodes of a table by some layer.

    The same nodes may be reached along paths around which the network reads more or less, and have a state for each.

    Args:
        table: of the nodes.
        layers: applied so far; 0 for features.
        own: the nodes' state one layer before; None for features.
        behind: edge type -> state, one layer before, of the neighbors along it.
    """

    table: str
    layers: int = 0
    own: State | None = None
    behind: tuple[tuple[EdgeType, State], ...] = ()

    @property
    def needs(self) -> list[State]:
        """The states that it is computed from."""
        return [*([] if self.own is None else [self.own]), *(state for _, state in self.behind)]


ALL = Neighborhoods()


def embed_layerwise(
    network: BlockNetwork,
    store: GraphStore,
    features: Mapping[str, NDArray[np.floating]],
    folder: Path,
    anchor: int | None = None,
    neighborhoods: LayerNeighbors = ALL,
    chunk_edges: int = CHUNK_EDGES,
    advance: Callable[[int], None] = lambda nodes: None,
    codes: Mapping[str, CategoryCodes] | None = None,
) -> NDArray[np.float32]:
    """Vectors of all nodes of the network's table.

    With all neighbors they equal what the network makes of blocks that hold all neighbors, up to rounding. The states
    of a layer are a memory-mapped file each, and those that no later layer reads are removed.

    Args:
        network: whose table it is.
        store: the graph.
        features: table -> of all its nodes, ``[nodes, channels]``.
        folder: gets ``vectors.npy``, and the states meanwhile.
        anchor: only edges up to this time count, and nodes that have not ended, in seconds after the graph's origin;
            default: all.
        neighborhoods: which neighbors are read.
        chunk_edges: neighbors that are gathered at once; more where one node has more.
        advance: called with the number of nodes whose state of one layer is done.
        codes: table -> categorical and multicategorical columns of all its nodes, of the tables whose categories the
            network sees.

    Returns:
        float32 ``[nodes, out]``, mapped.
    """
    final, inputs = state_of(network, (), network.depth), Inputs(network, features, codes or {})
    folder.mkdir(parents=True, exist_ok=True)
    earlier: dict[State, NDArray[np.floating]] = {}
    with torch.no_grad():
        for states in layers_of(final):
            made: dict[State, NDArray[np.floating]] = {}
            for place, state in enumerate(states):
                path = folder / ("vectors.npy" if state == final else f"layer-{state.layers}-{place}.npy")
                layer = Layer(network, state, store, inputs, earlier, anchor, neighborhoods)
                made[state] = create_array(path, np.float32, layer.shape)
                for nodes in layer.chunks(chunk_edges):
                    made[state][nodes] = layer.apply(nodes)
                    advance(len(nodes))
            for place, state in enumerate(earlier):
                (folder / f"layer-{state.layers}-{place}.npy").unlink()
            earlier = made
    vectors: NDArray[np.float32] = np.load(folder / "vectors.npy", mmap_mode="r")
    return vectors


def state_of(network: BlockNetwork | HopTree, path: HopPath, layers: int) -> State:
    """The state at the end of a path after so many layers."""
    table = network.table_of(path)
    if layers == 0:
        return State(table)
    behind = [
        (child[-1], state_of(network, child, layers - 1)) for child in network.paths if child and child[:-1] == path
    ]
    ordered = tuple(sorted(behind, key=lambda entry: entry[0].table_name))
    return State(table, layers, state_of(network, path, layers - 1), ordered)


def layers_of(final: State) -> list[list[State]]:
    """All states that one needs, each once, by layer from the first."""
    found = [[final]]
    while found[0][0].layers > 1:
        needed = [earlier for state in found[0] for earlier in state.needs]
        found.insert(0, list(dict.fromkeys(needed)))
    return found


@dataclass(frozen=True)
class Inputs:
    """What the first layer takes of the nodes of each table.

    Args:
        network: which turns categories into vectors.
        features: table -> of all its nodes, ``[nodes, channels]``.
        codes: table -> categorical and multicategorical columns of all its nodes, of the tables whose categories the
            network sees.
    """

    network: BlockNetwork
    features: Mapping[str, NDArray[np.floating]]
    codes: Mapping[str, CategoryCodes]

    def take(self, table: str, nodes: NDArray[np.integer], like: Tensor) -> Tensor:
        """First states of nodes, ``[..., channels]``, of the type and device of a tensor."""
        values = torch.from_numpy(gather(self.features[table], nodes)).to(like)
        present, codes = torch.from_numpy(nodes >= 0).to(like.device), None
        if table in self.codes:
            codes = torch.from_numpy(self.codes[table].gather(nodes)).to(like.device)
        return self.network.encode(table, values, present, codes)


class Layer:
    """One state of all nodes of its table, from the states before it; see :class:`BlockNetwork`.

    Args:
        network: whose layer it is.
        state: that it computes.
        store: the graph.
        inputs: of the first layer.
        earlier: states that it needs, ``[nodes, channels]``.
        anchor: only edges up to this time count, in seconds after the graph's origin; default: all.
        neighborhoods: which neighbors are read.

    Attributes:
        shape: of the state of all nodes, ``[nodes, channels]``.
    """

    def __init__(
        self,
        network: BlockNetwork,
        state: State,
        store: GraphStore,
        inputs: Inputs,
        earlier: Mapping[State, NDArray[np.floating]],
        anchor: int | None = None,
        neighborhoods: LayerNeighbors = ALL,
    ) -> None:
        self._network, self._state, self._store = network, state, store
        self._inputs, self._earlier = inputs, earlier
        self._anchor = END_OF_TIME if anchor is None else np.int32(anchor)
        self._neighborhoods = neighborhoods
        place = state.layers - 1
        self._own = network.own[place][own_name(state.table)]  # type: ignore[index]
        self._messages = network.messages[place]
        self.shape = (store.node_count(state.table), network.width(place))

    def chunks(self, edges: int, first: int = 0, last: int | None = None) -> Iterator[NDArray[np.int64]]:
        """Nodes whose neighbors, as a dense array, are about so many, those of like degree together.

        Args:
            edges: neighbors of a chunk; more where one node has more.
            first, last: node ids from ``first`` up to, not including, ``last``; default: all.
        """
        own = np.arange(*slice(first, last).indices(self.shape[0]))
        widths = np.ones(len(own), np.int64)
        for edge_type, _ in self._state.behind:
            widths = np.maximum(widths, self._neighborhoods.count(self._store, edge_type, own, self._anchor))
        order = np.argsort(widths, kind="stable")
        start = 0
        while start < len(order):
            # Padded to the widest, which is a chunk's last: as many as fit, and at least one.
            following = widths[order[start : start + edges]]
            sizes = following * np.arange(1, len(following) + 1)
            stop = start + max(1, int(np.searchsorted(sizes, edges, side="right")))
            yield first + np.sort(order[start:stop])
            start = stop

    def apply(self, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        """The state of some nodes, ``[nodes, channels]``."""
        assert self._state.own is not None
        own = self._take(self._state.own, nodes)
        value = self._own(own)
        for edge_type, behind in self._state.behind:
            found = self._neighborhoods.find(self._store, edge_type, nodes, self._anchor)
            value = value + self._message(self._messages[edge_type.table_name], own, behind, *found)  # type: ignore[index]
        result: NDArray[np.float32] = self._network.finish(value, self._state.layers - 1).cpu().numpy()
        return result

    def _message(
        self,
        convolve: nn.Module,
        own: Tensor,
        behind: State,
        neighbors: NDArray[np.int32],
        weights: NDArray[np.float32] | None,
    ) -> Tensor:
        """What neighbors, ``[nodes, fanout]``, tell of some nodes; sums of them are made as they are read."""
        array = self._plain(behind)
        # A class made from it may pool in another way.
        if array is not None and weights is None and type(convolve) is SAGEConv and convolve.pooling != "max":
            pooled = gather_pooled(array, neighbors, convolve.pooling == "mean")
            return convolve.of_pooled(torch.from_numpy(pooled).to(self._own.weight))
        present = torch.from_numpy(neighbors >= 0).to(own.device)
        share = None if weights is None else torch.from_numpy(weights).to(self._own.weight)
        message: Tensor = convolve(own, self._take(behind, neighbors), present, share)
        return message

    def _plain(self, state: State) -> NDArray[np.float32] | None:
        """A state as it is read, where it is nothing but numbers of 32 bits."""
        if state.layers == 0 and state.table in self._inputs.codes:
            return None
        array = self._inputs.features[state.table] if state.layers == 0 else self._earlier[state]
        return array if array.dtype == np.float32 else None

    def _take(self, state: State, nodes: NDArray[np.integer]) -> Tensor:
        """States of nodes one layer before, ``[..., channels]``; zeros where a node is absent."""
        if state.layers == 0:
            return self._inputs.take(state.table, nodes, self._own.weight)
        return torch.from_numpy(gather(self._earlier[state], nodes)).to(self._own.weight)

"""Temporal neighbor sampling over a heterogeneous graph, on a GPU."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gnnscale.sampling.backends.numba_backend import NumbaBackend
from gnnscale.sampling.backends.triton.device_block import DeviceBlock, DeviceHop
from gnnscale.sampling.backends.triton.neighbor_kernel import (
    AdjacencyTensors,
    DrawKeys,
    is_interpreted,
    sample_neighbors,
)
from gnnscale.sampling.backends.triton.placement import Key, Memory, Placement, choose_for_readers, place_array
from gnnscale.sampling.keys import default_examples, example_keys, hop_key
from gnnscale.sampling.neighbor_sampler import END_OF_TIME, drop_ended, only_table
from gnnscale.sampling.paths import Fanouts, plan_paths
from gnnscale.sampling.sampling_rule import Rule, Strategy
from gnnscale.schema import ConfigError, EdgeType, SchemaError

if TYPE_CHECKING:
    from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

# Read most first: of a node, the bounds, then the latest time and a search, then as many neighbors as the fan-out.
_ORDER = ("indptr", "valid_until", "times", "neighbors", "cumulative")


class GPUNeighborSampler:
    """Fixed-fan-out neighborhoods as tensors on a device: the blocks of :class:`gnnscale.sampling.NeighborSampler`.

    The same store, fan-outs, strategy, seed, cap, epoch and examples give the same block, bit for bit.

    Args:
        store: the graph.
        fanouts: one entry a hop; see :func:`gnnscale.sampling.plan_paths`.
        strategy: ``uniform``, ``last`` or ``weighted``; see :class:`Rule`.
        seed: of the run.
        table: table that seeds are rows of; may be left out where the graph has one table.
        cap: only the latest so many edges of a node count; default: all.
        device: a CUDA device; ``cpu`` only under Triton's interpreter.
        placement: where the graph's arrays live: a location for all, array -> location for some, or None to choose by
            size; see :class:`Placement`. Hops along edges of which an array is mapped are sampled by the host.
        memory: bytes that the arrays may take; default: most of what is free.

    Raises:
        ConfigError: an unknown strategy, link, array or location, a device that is not there, a fan-out under 1, a cap
            under the largest fan-out, or no table where there are several.
    """

    def __init__(
        self,
        store: GraphStore,
        fanouts: Fanouts,
        strategy: Strategy = "uniform",
        seed: int = 0,
        table: str | None = None,
        cap: int | None = None,
        device: str | torch.device = "cuda",
        placement: Placement | Mapping[str, Any] | str | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.store = store
        self.rule = Rule(strategy, cap)
        self.seed = seed
        self.table = table or only_table(store)
        self.paths = plan_paths(store.manifest, self.table, fanouts)
        self.rule.check_fanouts(self.paths)
        self.device = find_device(device)
        wanted = Placement.of(placement)
        arrays = self._arrays()
        sizes = {key: array.nbytes for key, array in arrays.items()}
        readers = {
            edge_type.table_name: [
                key for key in arrays if key[0] == edge_type.table_name or key == _ends_of(edge_type)
            ]
            for edge_type in self._edge_types()
        }
        memory = memory or Memory.measure(self.device)
        self.placement = choose_for_readers(sizes, readers, memory, wanted)
        """(name of an edge type or table, array) -> where it is."""
        self.memory_left = memory.without(sizes, self.placement)
        """Of the memory that the arrays may take."""
        self._tensors = {
            key: place_array(arrays[key], location, self.device)
            for key, location in self.placement.items()
            if location != "mapped"
        }
        self._known_keys: tuple[int, torch.Tensor] | None = None
        log.debug("arrays of the graph are at %s", self.placement)

    def sample(
        self,
        seeds: ArrayLike | torch.Tensor,
        times: ArrayLike | torch.Tensor | None = None,
        epoch: int = 0,
        examples: NDArray[np.int64] | torch.Tensor | None = None,
    ) -> DeviceBlock:
        """Sample around seeds.

        Args:
            seeds: node ids, int ``[batch]``; looking at those of a tensor on the device waits for it.
            times: anchors in seconds after the graph's origin, int ``[batch]``; default: all edges count.
            epoch: part of the key.
            examples: identity of each seed's example, int64 ``[batch]``; default: a hash of seed and time.

        Raises:
            SchemaError: a seed is not a node of the table.
        """
        count = self.store.node_count(self.table)
        chosen = _tensor(seeds, torch.int64)
        if chosen.numel() and (int(chosen.min()) < 0 or int(chosen.max()) >= count):
            raise SchemaError(
                f"seeds of '{self.table}' must be in 0 .. {count - 1}, not {int(chosen.min())} .. {int(chosen.max())}"
            )
        chosen = to_device(chosen, self.device)
        if times is None:
            anchors = torch.full((len(chosen),), int(END_OF_TIME), dtype=torch.int32, device=self.device)
        else:
            anchors = to_device(_tensor(times, torch.int32), self.device)
        identities = None if examples is None else to_device(_tensor(examples, torch.int64), self.device)
        streams = self._hop_keys(epoch)
        block = DeviceBlock(self.table, chosen, anchors, {}, torch.zeros(1, dtype=torch.int64, device=self.device))
        for number, (path, fanout) in enumerate(self.paths.items()):
            parent = block.hops[path[:-1]].nodes if len(path) > 1 else chosen
            # [batch, fanout 1, ..., fanout n - 1] -> [batch, width]
            frontier = parent.reshape(len(chosen), math.prod(parent.shape[1:]))
            values = chosen if identities is None else identities
            keys = DrawKeys(values, streams[number : number + 1], of_seeds=identities is None)
            nodes, stamps = self._follow(path[-1], frontier, anchors, keys, fanout, block.edges)
            shape = (*parent.shape, fanout)
            block.hops[path] = DeviceHop(path, nodes.reshape(shape), stamps.reshape(shape))
        return block

    def _hop_keys(self, epoch: int) -> torch.Tensor:
        """The bits of the key of every hop's draws, int64 ``[paths]`` on the device; copied once an epoch."""
        known = self._known_keys
        if known is None or known[0] != epoch or len(known[1]) != len(self.paths):
            keys = np.array([hop_key(self.seed, epoch, path) for path in self.paths], np.uint64)
            known = epoch, torch.from_numpy(keys.view(np.int64)).to(self.device)
            if self.device.type == "cuda":
                # Whichever stream samples next finds them there.
                torch.cuda.current_stream(self.device).synchronize()
            self._known_keys = known
        return known[1]

    def _follow(
        self,
        edge_type: EdgeType,
        frontier: torch.Tensor,
        anchors: torch.Tensor,
        keys: DrawKeys,
        fanout: int,
        edges: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Neighbors ``[batch, width, fanout]`` and their times, without those that have ended; ``edges`` counts on."""
        name = edge_type.table_name
        if self.placement[name, "indptr"] == "mapped":
            return self._follow_on_host(edge_type, frontier, anchors, keys, fanout, edges)
        tensors = {array: self._tensors[name, array] for array in _ORDER if (name, array) in self._tensors}
        ends, graph = self._tensors.get(_ends_of(edge_type)), AdjacencyTensors(**tensors)
        return sample_neighbors(graph, frontier, anchors, keys, fanout, self.rule, ends, edges)

    def _follow_on_host(
        self,
        edge_type: EdgeType,
        frontier: torch.Tensor,
        anchors: torch.Tensor,
        keys: DrawKeys,
        fanout: int,
        edges: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (*frontier.shape, fanout)
        nodes, stamps = np.empty(shape, np.int32), np.empty(shape, np.int32)
        rows, limits, own = (tensor.cpu().numpy() for tensor in (frontier, anchors, keys.values))
        assert keys.stream is not None
        stream = keys.stream.cpu().numpy().view(np.uint64)[0]
        bits = example_keys(stream, default_examples(own, limits) if keys.of_seeds else own)
        adjacency = self.store.adjacency(edge_type)
        NumbaBackend().fill_neighbors(adjacency, rows.astype(np.int32), limits, bits, self.rule, nodes, stamps)
        drop_ended(nodes, stamps, self.store.features(edge_type.target), limits)
        edges += int((nodes >= 0).sum())
        return to_device(torch.from_numpy(nodes), self.device), to_device(torch.from_numpy(stamps), self.device)

    def _edge_types(self) -> list[EdgeType]:
        """Those that a path ends in, each once."""
        return list(dict.fromkeys(path[-1] for path in self.paths))

    def _arrays(self) -> dict[Key, NDArray[Any]]:
        """(name of an edge type or table, array) -> what the kernels read, those that are read most first."""
        found: dict[Key, NDArray[Any]] = {}
        for name in _ORDER:
            for edge_type in self._edge_types():
                key, array = (edge_type.table_name, name), None
                if name == "valid_until":
                    key, array = _ends_of(edge_type), self.store.features(edge_type.target).valid_until
                elif name != "cumulative" or self.rule.strategy == "weighted":
                    array = getattr(self.store.adjacency(edge_type), name)
                if array is not None:
                    found[key] = array
        return found


def find_device(name: str | torch.device) -> torch.device:
    """A device that Triton's kernels run on here.

    Raises:
        ConfigError: there is no such device, or it is the CPU and Triton was not loaded as an interpreter.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"sampling device is '{name}'; cuda, cuda:0 and so on") from None
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            raise ConfigError(f"sampling device is '{name}', and torch sees {there} CUDA devices here")
        # Its index, so that what is current later does not matter.
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    if device.type != "cpu":
        raise ConfigError(f"sampling device is '{name}'; cuda, cuda:0 and so on")
    if not is_interpreted():
        raise ConfigError(
            "sampling device is 'cpu', which takes Triton's interpreter (TRITON_INTERPRET=1 where the program starts) "
            "and is for tests alone; NeighborSampler samples on the CPU"
        )
    return device


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values on a device; what is on the host goes there through page-locked memory, and the host does not wait."""
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def _ends_of(edge_type: EdgeType) -> Key:
    """Name of the ends of what an edge type leads to."""
    return f"nodes_{edge_type.target}", "valid_until"


def _tensor(values: Any, dtype: torch.dtype) -> torch.Tensor:
    """Values as a tensor of one type, on the device where they are."""
    return values.to(dtype) if isinstance(values, torch.Tensor) else torch.as_tensor(np.array(values)).to(dtype)

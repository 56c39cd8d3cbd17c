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
from gnnscale.sampling.backends.triton.neighbor_kernel import AdjacencyTensors, is_interpreted, sample_neighbors
from gnnscale.sampling.backends.triton.placement import Key, Memory, Placement, choose_for_readers, place_array
from gnnscale.sampling.keys import hop_key
from gnnscale.sampling.neighbor_sampler import END_OF_TIME, drop_ended, only_table
from gnnscale.sampling.paths import Fanouts, plan_paths
from gnnscale.sampling.sampling_rule import Rule, Strategy
from gnnscale.sampling.tensor_keys import default_examples, example_keys
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
        chosen = _tensor(seeds, torch.int64)
        count = self.store.node_count(self.table)
        if chosen.numel() and (int(chosen.min()) < 0 or int(chosen.max()) >= count):
            raise SchemaError(
                f"seeds of '{self.table}' must be in 0 .. {count - 1}, not {int(chosen.min())} .. {int(chosen.max())}"
            )
        chosen = chosen.to(self.device)
        if times is None:
            anchors = torch.full((len(chosen),), int(END_OF_TIME), dtype=torch.int32, device=self.device)
        else:
            anchors = _tensor(times, torch.int32).to(self.device)
        if examples is None:
            identities = default_examples(chosen, anchors)
        else:
            identities = _tensor(examples, torch.int64).to(self.device)
        block = DeviceBlock(self.table, chosen, anchors, {})
        for path, fanout in self.paths.items():
            parent = block.hops[path[:-1]].nodes if len(path) > 1 else chosen.to(torch.int32)
            # [batch, fanout 1, ..., fanout n - 1] -> [batch, width]
            frontier = parent.reshape(len(chosen), math.prod(parent.shape[1:]))
            keys = example_keys(hop_key(self.seed, epoch, path), identities)
            nodes, stamps = self._follow(path[-1], frontier, anchors, keys, fanout)
            shape = (*parent.shape, fanout)
            block.hops[path] = DeviceHop(path, nodes.reshape(shape), stamps.reshape(shape))
        return block

    def _follow(
        self, edge_type: EdgeType, frontier: torch.Tensor, anchors: torch.Tensor, keys: torch.Tensor, fanout: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Neighbors ``[batch, width, fanout]`` and their times, without those that have ended."""
        name = edge_type.table_name
        if self.placement[name, "indptr"] == "mapped":
            return self._follow_on_host(edge_type, frontier, anchors, keys, fanout)
        tensors = {array: self._tensors[name, array] for array in _ORDER if (name, array) in self._tensors}
        valid_until = self._tensors.get(_ends_of(edge_type))
        return sample_neighbors(AdjacencyTensors(**tensors), frontier, anchors, keys, fanout, self.rule, valid_until)

    def _follow_on_host(
        self, edge_type: EdgeType, frontier: torch.Tensor, anchors: torch.Tensor, keys: torch.Tensor, fanout: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (*frontier.shape, fanout)
        nodes, stamps = np.empty(shape, np.int32), np.empty(shape, np.int32)
        rows, limits, bits = (tensor.cpu().numpy() for tensor in (frontier, anchors, keys))
        adjacency = self.store.adjacency(edge_type)
        NumbaBackend().fill_neighbors(adjacency, rows, limits, bits.view(np.uint64), self.rule, nodes, stamps)
        drop_ended(nodes, stamps, self.store.features(edge_type.target), limits)
        return torch.from_numpy(nodes).to(self.device), torch.from_numpy(stamps).to(self.device)

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


def _ends_of(edge_type: EdgeType) -> Key:
    """Name of the ends of what an edge type leads to."""
    return f"nodes_{edge_type.target}", "valid_until"


def _tensor(values: Any, dtype: torch.dtype) -> torch.Tensor:
    """Values as a tensor of one type, on the device where they are."""
    return values.to(dtype) if isinstance(values, torch.Tensor) else torch.as_tensor(np.array(values)).to(dtype)

"""Blocks sampled and gathered on a device, on a stream of their own, while the network computes with those before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.arrays import prefetched
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.device_codes import DeviceCodes, code_bytes
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.batches.examples.order import rank_slice
from gnnscale.sampling import (
    FeatureTable,
    GPUNeighborSampler,
    HotRows,
    Memory,
    Placement,
    choose_placement,
    count_leading_edges,
    gather,
)

FeatureType = Literal["fp32", "fp16", "bf16", "int8"]
"""How features are stored; they are gathered as ``fp32`` or ``bf16``, what the network computes with."""

STORED_AS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}


@dataclass(frozen=True)
class DeviceBlock(FeatureBlock):
    """As :class:`~gnnscale.batches.FeatureBlock`, with ``rows`` on the host and all else on a device.

    Args:
        ready: passed once the block is there; None where the device is the CPU.
    """

    ready: torch.cuda.Event | None = None

    def to(self, device: torch.device) -> Self:
        """The block for the current stream, which waits for it without the host waiting."""
        if self.ready is not None:
            stream = torch.cuda.current_stream(self.nodes[0].device)
            stream.wait_event(self.ready)
            # Their memory was taken on another stream, and must not be given to it again before this one is done.
            for tensor in (*self.nodes, *self.features, *self.codes, self.edges):
                assert isinstance(tensor, torch.Tensor)
                tensor.record_stream(stream)
        return super().to(device)


class DeviceBlockLoader:
    """The blocks of a loader in memory, made on a device: same order, same samples, and features to their type.

    Made ahead by a thread (:func:`gnnscale.arrays.prefetch.prefetched`), the next batches are sampled and gathered on a
    stream of their own while the network works on the one before. Codes of categories are stored as they are.

    Args:
        loader: whose seeds, anchors and order these are.
        device: a CUDA device; the CPU only under Triton's interpreter.
        feature_type: that features are stored in.
        dtype: that they are gathered in: float32 or bfloat16.
        placement: where the graph's arrays, features and codes live; default: by size, topology first.
        memory: bytes that graph, features and codes may take together; default: most of what is free.
        processes: of this host that train together, and share its memory where none is given.

    Raises:
        ConfigError: a placement that there is not.
    """

    def __init__(
        self,
        loader: BlockLoader,
        device: torch.device,
        feature_type: FeatureType = "fp32",
        dtype: torch.dtype = torch.float32,
        placement: Placement | Mapping[str, Any] | str | None = None,
        memory: Memory | None = None,
        processes: int = 1,
    ) -> None:
        own = loader.sampler
        self.loader, self.device, self.dtype = loader, device, dtype
        self.table, self.paths, self.batch_size = loader.table, loader.paths, loader.batch_size
        self.widths, self.categories = loader.widths, loader.categories
        self.sampler = GPUNeighborSampler(
            own.store,
            own.fanouts,
            own.rule.strategy,
            own.seed,
            own.table,
            own.rule.cap,
            device,
            placement,
            memory or Memory.measure(device, processes),
        )
        self.sampler.paths = own.paths
        stored, known = STORED_AS[feature_type], {name: np.asarray(own) for name, own in loader.arrays.items()}
        sizes = {(table, "features"): values.size * stored.itemsize for table, values in known.items()}
        sizes |= {(table, "codes"): code_bytes(columns) for table, columns in loader.codes.items()}
        chosen = choose_placement(sizes, self.sampler.memory_left, Placement.of(placement))
        self.features = {
            table: FeatureTable.of(values, device, chosen[table, "features"], dtype=stored)
            for table, values in known.items()
        }
        self._keep_hot_rows(self.sampler.memory_left.without(sizes, chosen).device)
        self.codes = {
            table: DeviceCodes.of(columns, device, chosen[table, "codes"]) for table, columns in loader.codes.items()
        }
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)
            # Graph and features were copied on the current stream.
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def _keep_hot_rows(self, room: int) -> None:
        """Have the device hold those rows of tables in page-locked memory that most edges lead to.

        Args:
            room: bytes of the device that nothing else takes; tables have equal parts of it.
        """
        pinned = [table for table, features in self.features.items() if features.placement == "pinned"]
        for table in pinned:
            features, edge_types = self.features[table], {path[-1] for path in self.paths if path[-1].target == table}
            nodes = self.sampler.store.node_count(table)
            row_bytes = max(1, features.dtype.itemsize * features.values.shape[1])
            rows = (room // len(pinned) - HotRows.bytes_beside(nodes)) // row_bytes
            if rows > 0 and nodes:
                counts = count_leading_edges(self.sampler.store, edge_types, table)
                hottest = np.argsort(-counts, kind="stable")[:rows]
                # Another process may have taken the room meanwhile, which nothing here depends on.
                with suppress(torch.OutOfMemoryError):
                    self.features[table] = features.with_hot(hottest[counts[hottest] > 0])

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Row numbers of the epoch's global batches."""
        return self.loader.batches(epoch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DeviceBlock]:
        """This process's part of every batch of an epoch from step ``start`` on."""
        mine = (rank_slice(b, self.loader.rank, self.loader.workers) for b in self.batches(epoch)[start:])
        return prefetched((partial(self.build, rows, epoch) for rows in mine), self.loader.prefetch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> DeviceBlock:
        """Sample and gather for some examples, on the loader's stream."""
        anchors = None if self.loader.anchors is None else self.loader.anchors[rows]
        return self.around(self.loader.seeds[rows], anchors, epoch, rows)

    def around(
        self,
        seeds: NDArray[np.int64],
        anchors: NDArray[np.int32] | None,
        epoch: int = 0,
        rows: NDArray[np.int64] | None = None,
    ) -> DeviceBlock:
        """Sample and gather for any seeds ``[batch]`` and anchors; ``rows`` are what the block calls its examples."""
        loader, rows = self.loader, np.arange(len(seeds)) if rows is None else rows
        key = epoch if loader.sample_epoch is None else loader.sample_epoch
        stream: AbstractContextManager[Any] = nullcontext()
        if self._stream is not None:
            stream = torch.cuda.stream(self._stream)
        with stream:
            block = self.sampler.sample(seeds, anchors, key)
            nodes = (block.seeds.to(torch.int32), *(hop.nodes for hop in block.hops.values()))
            tables = (block.table, *(hop.table for hop in block.hops.values()))
            found = tuple(gather(self.features[t], n, self.dtype) for t, n in zip(tables, nodes, strict=True))
            codes = self._gather_codes(tables, nodes)
            ready = torch.cuda.Event() if self._stream is not None else None
            if ready is not None:
                ready.record(self._stream)
        hops = ((), *block.hops)
        return DeviceBlock(torch.from_numpy(rows), hops, nodes, found, block.edges, codes=codes, ready=ready)

    def _gather_codes(self, tables: tuple[str, ...], nodes: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if not self.codes:
            return ()
        return tuple(
            self.codes[table].gather(slots)
            if table in self.codes
            else slots.new_zeros((*slots.shape, 0), dtype=torch.int32)
            for table, slots in zip(tables, nodes, strict=True)
        )

"""Batch inference over all targets and entities: its partitions, and the fingerprint that names their files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import gnnscale
from gnnscale.config import Settings
from gnnscale.lake import Lake, fingerprint
from gnnscale.query import PredictiveQuery
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training import model_path

Side = Literal["targets", "entities"]
"""Whose vectors: those that are searched, or those that are searched for."""


@dataclass(frozen=True)
class Partition:
    """Consecutive nodes of one side at one anchor, which are encoded together.

    Args:
        side: whose nodes.
        anchor: epoch seconds.
        start, stop: node ids from ``start`` up to, not including, ``stop``.
    """

    side: Side
    anchor: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Basis:
    """An earlier run, whose rows stand for nodes that have not changed since.

    Args:
        fingerprint: of that run.
        versions: table -> version that it committed.
    """

    fingerprint: str
    versions: Mapping[str, int]


@dataclass(frozen=True)
class BatchInference:
    """All that a run of batch inference writes.

    Args:
        fingerprint: of everything that the rows depend on, and of how they are cut into files.
        query: its name.
        tables: side -> tables that get a file for each of its partitions.
        partitions: in the order in which they are taken.
        basis: where the rows of unchanged nodes come from; None where all are encoded.
        layerwise: whether vectors of entities are those that all nodes are given layer by layer.
    """

    fingerprint: str
    query: str
    tables: Mapping[Side, tuple[str, ...]]
    partitions: tuple[Partition, ...] = field(repr=False)
    basis: Basis | None = None
    layerwise: bool = False

    def file_name(self, partition: Partition) -> str:
        """Name of a partition's file, the same in each of its tables; sorts by side, anchor and node."""
        cut = f"{partition.side}-{partition.anchor}-{partition.start:010d}-{partition.stop:010d}"
        return f"{self.prefix}{cut}.parquet"

    @property
    def prefix(self) -> str:
        """What the names of all its files begin with; those of an earlier run of the query differ after its name."""
        return f"{KIND}-{self.query}-{self.fingerprint}-"


KIND = "sweep"
"""What the names of the run's files begin with; see :class:`gnnscale.lake.PartFiles`."""


def model_key(settings: Settings, lake: Lake, query: PredictiveQuery, device: str) -> str:
    """Fingerprint of how vectors come from a graph: the model's file, what it samples and how, and where it runs.

    Raises:
        LakeError: the lake holds no model of the query.
    """
    parts = {
        "program": gnnscale.__version__,
        "model": weights_digest(lake, settings.query.name),
        "query": query.text,
        "sampling": settings.sampling.model_dump(mode="json"),
        "network": settings.model.model_dump(mode="json", exclude={"blend"}),
        "seed": settings.seed,
        "device": device,
    }
    return fingerprint(parts)


def weights_digest(lake: Lake, query: str) -> str:
    """Digest of a model's file: vectors can be compared where it is the same.

    Raises:
        LakeError: the lake holds no model of the query.
    """
    content = lake.read_bytes(model_path(query))
    if content is None:
        raise LakeError(f"lake {lake.uri} holds no model of query '{query}'; run the train stage first")
    return hashlib.sha256(content).hexdigest()


def plan_inference(
    settings: Settings,
    store: GraphStore,
    query: PredictiveQuery,
    anchors: Sequence[int],
    model: str,
    basis: Basis | None = None,
    run_nonce: str = "",
) -> BatchInference:
    """Cut the work into partitions.

    Args:
        settings: names the query; section ``embedding`` counts.
        store: of the graph.
        query: bound query.
        anchors: epoch seconds.
        model: see :func:`model_key`.
        basis: of the rows of unchanged nodes.
        run_nonce: tells a run from one of the same inputs that was made before; empty to take up that one's files.
    """
    name, size = settings.query.name, settings.embedding.partition_rows
    sides: dict[Side, str] = {"targets": query.target.name, "entities": query.entity.name}
    inputs = {
        "model": model,
        "graph": store.manifest.to_dict(),
        "anchors": list(anchors),
        "rows": [size, settings.embedding.batch_size],
        "method": settings.embedding.method,
        "basis": basis.fingerprint if basis else "",
        # The key is hashed too: with another one, files of runs before it would not be taken up.
        "again": run_nonce,
    }
    partitions = tuple(
        Partition(side, anchor, start, min(start + size, store.node_count(table)))
        for anchor in anchors
        for side, table in sides.items()
        for start in range(0, store.node_count(table), size)
    )
    tables: dict[Side, tuple[str, ...]] = {
        "targets": (f"embeddings_{query.target.name}",),
        "entities": (f"embeddings_{query.entity_embeddings}", f"pairs_{name}"),
    }
    return BatchInference(
        fingerprint(inputs), name, tables, partitions, basis, settings.embedding.method == "layerwise"
    )

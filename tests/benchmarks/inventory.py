"""Vectors of a large inventory, from a network trained on a generated co-purchase graph.

Items belong to communities, communities to categories and these to departments, all of them of very unequal size. An
item's sixteen co-purchases stay in its community (.6), its category (.25) or go anywhere (.15), and its features say
its category and, less clearly, its community, under noise. A GraphSAGE of two layers learns to tell an item's
co-purchases from other items by the angle between their vectors; those vectors are what the benchmark searches.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import EdgeType, GraphManifest, RelationManifest, TableManifest
from gnnscale.store import GraphStore

log = logging.getLogger(__name__)

DEGREE, CHANNELS, DIMS = 16, 32, 128
COMMUNITY, CATEGORY = 150, 6_000  # items of each, on average
FANOUTS, BATCH, STEPS, TEMPERATURE = (8, 4), 1024, 500, 0.07
CHUNK = 1_000_000


def trained_vectors(folder: Path, items: int, threads: int = 2) -> NDArray[np.float32]:
    """Unit vectors ``[items, 128]``, mapped from a file that is made where it is not there.

    Args:
        folder: keeps the file.
        items: their number.
        threads: of the sampler.
    """
    file = folder / f"vectors_{items}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        store = generate_graph(folder / f"graph_{items}", items)
        model, loader = train(store, threads)
        made = file.with_suffix(".new.npy")
        encode(made, model, loader, items)
        made.rename(file)
    found: NDArray[np.float32] = np.load(file, mmap_mode="r")
    return found


def sphere_vectors(items: int, seed: int = 1) -> NDArray[np.float32]:
    """Unit vectors spread evenly, ``[items, 128]``: no structure that an index could use."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((items, DIMS), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def generate_graph(folder: Path, items: int) -> GraphStore:
    """The inventory's co-purchases and features, as the store holds them."""
    rng = np.random.default_rng(0)
    bounds, category_of, sizes = _communities(rng, items)
    community = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    categories = int(category_of.max()) + 1
    first = np.searchsorted(category_of, np.arange(categories))
    after = np.searchsorted(category_of, np.arange(categories), side="right")
    low, high = bounds[first], bounds[after]
    # Ids are in no order of community, so that what belongs together does not lie together.
    ids = rng.permutation(items).astype(np.int32)
    departments = max(1, categories // 20)
    of_department = rng.standard_normal((departments, CHANNELS), np.float32)
    of_category = of_department[rng.integers(0, departments, categories)] + rng.standard_normal(
        (categories, CHANNELS), np.float32
    )
    of_community = of_category[category_of] + 0.7 * rng.standard_normal((len(sizes), CHANNELS), np.float32)
    edge = EdgeType(RelationManifest("items", "bought_with", "items", items * DEGREE, DEGREE, 0, 0).link, reverse=False)
    neighbors = _new(folder / f"{edge.table_name}/neighbors.npy", (items * DEGREE,), np.int32).reshape(items, DEGREE)
    features = _new(folder / "nodes_items/numerical.npy", (items, CHANNELS), np.float32)
    for start in range(0, items, CHUNK):
        own = community[start : start + CHUNK]
        kind = rng.random((len(own), DEGREE), np.float32)
        of = category_of[own]
        begin = np.where(kind < 0.6, bounds[own][:, None], np.where(kind < 0.85, low[of][:, None], 0))
        end = np.where(kind < 0.6, bounds[own + 1][:, None], np.where(kind < 0.85, high[of][:, None], items))
        place = begin + (rng.random((len(own), DEGREE)) * (end - begin)).astype(np.int64)
        rows = ids[start : start + CHUNK]
        neighbors[rows] = ids[place]
        features[rows] = of_community[own] + rng.standard_normal((len(own), CHANNELS), np.float32)
    _save(folder / f"{edge.table_name}/indptr.npy", np.arange(items + 1, dtype=np.int64) * DEGREE)
    _save(folder / f"{edge.table_name}/times.npy", np.zeros(items * DEGREE, np.int32))
    _save(folder / "nodes_items/categorical.npy", np.zeros((items, 0), np.int32))
    _save(folder / "nodes_items/times.npy", np.zeros(items, np.int32))
    relation = RelationManifest("items", "bought_with", "items", items * DEGREE, DEGREE, 0, 0)
    manifest = GraphManifest((TableManifest("items", items, None, ()),), (), 0, None, (relation,))
    return GraphStore(manifest, folder)


def _communities(
    rng: np.random.Generator, items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of each community's places, its category, ascending, and its size."""
    communities, categories = max(4, items // COMMUNITY), max(2, items // CATEGORY)
    weight = rng.lognormal(0, 1, communities)
    sizes = np.maximum(1, (weight / weight.sum() * items).astype(np.int64))
    order = np.argsort(-sizes)
    excess = int(sizes.sum() - items)
    sizes[order[: abs(excess)]] -= np.sign(excess)
    while sizes.sum() != items:  # fewer communities than items to give away
        sizes[order[0]] += items - sizes.sum()
    of_category = np.sort((categories * rng.random(communities) ** 1.5).astype(np.int64))
    _, of_category = np.unique(of_category, return_inverse=True)
    return np.concatenate([[0], np.cumsum(sizes)]), of_category, sizes


def train(store: GraphStore, threads: int) -> tuple[BlockNetwork, BlockLoader]:
    """A network whose vectors of an item and its co-purchase point the same way; the loader takes all items."""
    torch.manual_seed(0)
    items = store.node_count("items")
    sampler = NeighborSampler(store, [{"items.bought_with": fanout} for fanout in FANOUTS], threads=threads)
    features = np.asarray(store.features("items").numerical)
    every = np.arange(items, dtype=np.int64)
    loader = BlockLoader(sampler, {"items": features}, every, batch_size=BATCH)
    model = BlockNetwork(tuple(sampler.paths), "items", {"items": CHANNELS}, 128, DIMS)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    adjacency = store.adjacency(store.edges_from("items")[0])
    rng = np.random.default_rng(2)
    for step in range(STEPS):
        seeds = rng.choice(items, BATCH, replace=False)
        bought = np.asarray(adjacency.neighbors)[seeds * DEGREE + rng.integers(0, DEGREE, BATCH)].astype(np.int64)
        vectors = vectors_of(model, loader.build(np.concatenate([seeds, bought]), epoch=step))
        scores = vectors[:BATCH] @ vectors[BATCH:].T / TEMPERATURE
        loss = functional.cross_entropy(scores, torch.arange(BATCH))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == STEPS - 1:
            log.info("step %d: loss %.3f", step, loss)
    return model.eval(), loader


def vectors_of(model: BlockNetwork, block: FeatureBlock) -> torch.Tensor:
    """Unit vectors of a block's seeds."""
    return functional.normalize(model(*block.inputs()), dim=1)


@torch.no_grad()
def encode(file: Path, model: BlockNetwork, loader: BlockLoader, items: int, size: int = 8192) -> None:
    """Write the vectors of all items."""
    vectors = _new(file, (items, DIMS), np.float32)
    for start in range(0, items, size):
        rows = np.arange(start, min(items, start + size))
        vectors[rows] = vectors_of(model, loader.build(rows)).numpy()
    vectors.flush()


def _new(file: Path, shape: tuple[int, ...], kind: type) -> np.memmap:
    file.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(file, "w+", kind, shape)


def _save(file: Path, array: NDArray[np.int64] | NDArray[np.int32]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, array)

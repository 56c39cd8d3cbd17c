"""Training a three-layer GraphSAGE on blocks that the GPU samples: seeds a second, eager, compiled and by CUDA graphs.

Fan-outs [15, 10, 5], 128 features stored in bf16, the network under autocast to bf16, AdamW; batches are sampled and
gathered ahead by a thread, as training does it. What is timed begins after some steps, in which a network is compiled,
and ends when the device is done. Every figure is one JSON object on a line; eager ones come first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from gnnscale.batches import BlockLoader, DeviceBlockLoader
from gnnscale.nn import BlockNetwork
from gnnscale.sampling import NeighborSampler
from gnnscale.store import GraphStore
from tests.benchmarks.measure import surroundings
from tests.benchmarks.on_device import name_of, tell, wait_for
from tests.benchmarks.power_law import FANOUT_NAME, TABLE, graph_in

FANOUTS, HIDDEN, CHANNELS, CLASSES = [15, 10, 5], 256, 128, 64
NODES, EDGES = 2_000_000, 40_000_000
RUNS = (
    *(("eager", batch) for batch in (1024, 4096, 8192)),
    *((mode, batch) for batch in (1024, 4096) for mode in ("compiled", "graphs")),
)
WARM_UP, STEPS = 5, 40


def main() -> None:
    """Run, and print a line for each way and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="every figure is one JSON object on a line in any case")
    parser.add_argument("--graph", type=Path, help="folder that keeps the graph; default: one that is removed")
    options = parser.parse_args()
    if not torch.cuda.is_available() or find_spec("triton") is None:
        sys.exit("gpu_train needs a CUDA device, a torch built for CUDA and triton; here is none, nothing was measured")
    tell({"figure": "surroundings", **surroundings(("torch", "triton", "numpy")), "fanouts": FANOUTS, "hidden": HIDDEN})
    with tempfile.TemporaryDirectory(prefix="gpu-train-") as folder:
        store = graph_in(options.graph or Path(folder), NODES, EDGES, channels=CHANNELS)
        for mode, batch in RUNS:
            measure(store, mode, batch, torch.device("cuda"))


def measure(store: GraphStore, mode: str, batch: int, device: torch.device, steps: int = STEPS) -> dict[str, Any]:
    """One way to run the network, and one batch size."""
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, store.node_count(TABLE), batch * (steps + WARM_UP))
    labels = torch.from_numpy(rng.integers(0, CLASSES, len(seeds)))
    sampler = NeighborSampler(store, [{FANOUT_NAME: f} for f in FANOUTS], "uniform")
    values = np.asarray(store.features(TABLE).numerical)
    own = BlockLoader(sampler, {TABLE: values}, seeds, batch_size=batch)
    loader = DeviceBlockLoader(own, device, "bf16", torch.bfloat16)
    torch.manual_seed(0)
    model = BlockNetwork(loader.paths, TABLE, loader.widths, HIDDEN, CLASSES).to(device)
    if mode != "eager":
        model.compile(mode="reduce-overhead" if mode == "graphs" else None, dynamic=False)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=device.type == "cuda")

    def losses(blocks: Iterator[Any]) -> Iterator[torch.Tensor]:
        for block in blocks:
            if mode == "graphs":
                torch.compiler.cudagraph_mark_step_begin()
            there = block.pinned().to(device) if device.type == "cuda" else block
            with torch.autocast(device.type, torch.bfloat16):
                scores = model(*there.inputs())
            loss = functional.cross_entropy(scores.float(), labels[block.rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.detach().clone()

    blocks = chain.from_iterable(loader.epoch(epoch) for epoch in range(2))
    first = [*losses(islice(blocks, WARM_UP))]
    wait_for(device)
    started = time.perf_counter()
    last = [*losses(islice(blocks, steps))]
    wait_for(device)
    seconds = time.perf_counter() - started
    figure = {"figure": "gpu_train", "card": name_of(device), "mode": mode, "batch": batch}
    figure |= {"seeds_per_second": round(batch * steps / seconds), "milliseconds": round(1e3 * seconds / steps, 2)}
    if device.type == "cuda":
        figure["peak_device_gb"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
        torch.cuda.reset_peak_memory_stats(device)
    return tell({**figure, "first_loss": round(float(first[0]), 3), "last_loss": round(float(last[-1]), 3)})


if __name__ == "__main__":
    main()

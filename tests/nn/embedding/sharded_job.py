"""A few training steps with a sharded table, as one of several processes; run by ``test_sharded``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gnnscale.nn.embedding.embedding_init import EmbeddingInit
from gnnscale.nn.embedding.sharded_embedding import ProcessGroup, ShardedEmbedding

ROWS, CHANNELS, BATCH, STEPS, RATE = 37, 6, 24, 5, 0.1
LARGE = 300_001
LAW = EmbeddingInit(seed=4, table="items", deviation=0.5)


class Lookup(nn.Module):
    """A table, and one linear layer that all processes train as usual."""

    def __init__(self, group: ProcessGroup) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.items, self.layer = ShardedEmbedding(ROWS, CHANNELS, LAW, group), nn.Linear(CHANNELS, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        out: Tensor = self.layer(self.items(nodes).tanh()).squeeze(-1)
        return out


def batch_of(step: int) -> tuple[Tensor, Tensor]:
    """Rows, some of them several times, and values of a step's global batch."""
    generator = torch.Generator().manual_seed(step)
    return torch.randint(0, ROWS - 7, (BATCH,), generator=generator), torch.randn(BATCH, generator=generator)


def train(group: ProcessGroup, steps: range, resume: dict[str, dict[str, Tensor]] | None = None) -> dict[str, object]:
    """Losses of this process, and the state at the end."""
    model = Lookup(group)
    if resume:
        model.layer.load_state_dict(resume["layer"])
        model.items.load(resume["items"])
    run = DistributedDataParallel(model) if group.workers > 1 else model
    optimiser = torch.optim.SGD(model.parameters(), RATE)
    losses = []
    for step in steps:
        nodes, values = (part[group.rank :: group.workers] for part in batch_of(step))
        loss = ((run(nodes) - values) ** 2).sum() * group.workers / BATCH
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.items.update(RATE)
        losses.append(float(loss.detach()) / group.workers)
    return {"losses": losses, "items": model.items.gather(), "layer": model.layer.state_dict()}


def main(rank: int, workers: int, folder: str) -> None:
    """Train as one process of a group, from the start and from what one process left after two steps."""
    torch.set_num_threads(1)
    group = ProcessGroup(rank, workers)
    whole = train(group, range(STEPS))
    resumed = train(group, range(2, STEPS), torch.load(Path(folder) / "one.pt"))
    if rank == 0:
        again = {"items": whole["items"], "layer": whole["layer"]}
        torch.save({"whole": whole, "resumed": resumed, "left": again}, Path(folder) / f"{workers}.pt")


def gather_large(rank: int, workers: int, folder: str) -> None:
    """Gather a table of which every process's rows are several pieces, and note what rank 0 was sent at a time."""
    torch.set_num_threads(1)
    received: list[int] = []
    exchange, receive = dist.all_to_all_single, dist.recv

    def note_exchange(got: Tensor, *rest: Any, **options: Any) -> Any:
        received.append(len(got))
        return exchange(got, *rest, **options)

    def note_receive(got: Tensor, *rest: Any, **options: Any) -> Any:
        received.append(len(got))
        return receive(got, *rest, **options)

    dist.all_to_all_single, dist.recv = note_exchange, note_receive
    table = ShardedEmbedding(LARGE, 1, LAW, ProcessGroup(rank, workers))
    found = table.gather()
    if rank == 0:
        torch.save({"found": found, "received": received}, Path(folder) / "large.pt")
    else:
        assert found == {}

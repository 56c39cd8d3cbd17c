"""Collaborative filtering on a generated graph: LightGCN's time to the quality of a straightforward one, closed forms.

The peer multiplies the whole graph for every batch of 2,048 pairs, three layers forward and, by autograd, backward,
with one uniform negative a pair: LightGCN as it is usually written. Ours is timed until its Recall@20 is that of the
peer after 20 epochs. The closed-form mix is timed from the matrix to everybody's list. With ``--full`` the graph has
the size of Gowalla, and the peer takes hours.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from gnnscale.arrays import Ids
from gnnscale.collaborative import Recommender, Scores, evaluate_scorer, make_recommender
from gnnscale.collaborative.propagation import BipartiteGraph
from gnnscale.collaborative.recommenders.lightgcn import LightGCN, LightGCNOptions
from tests.benchmarks.interest_graph import GOWALLA, hold_out, interest_graph
from tests.benchmarks.measure import arguments, finish, measured, surroundings

SHARE, EPOCHS, BATCH, LAYERS, DIMS = 0.05, 20, 2048, 3, 64
"""Of Gowalla's size in the small form; and what the peer has."""

CLOSED_FORMS = ("co_occurrence", "low_pass", "local_ease")


class Straightforward:
    """LightGCN as it is usually written; its vectors after training are ``users`` and ``items``."""

    def __init__(self, seen: scipy.sparse.csr_matrix) -> None:
        users, items = (np.maximum(np.asarray(seen.sum(axis)).ravel(), 1e-12) ** -0.5 for axis in (1, 0))
        leveled = scipy.sparse.diags(users) @ seen @ scipy.sparse.diags(items)
        whole = scipy.sparse.bmat([[None, leveled], [leveled.T, None]], format="coo", dtype=np.float32)
        place = torch.from_numpy(np.stack([whole.row, whole.col]).astype(np.int64))
        self.matrix = torch.sparse_coo_tensor(place, torch.from_numpy(whole.data), whole.shape).coalesce()
        self.pairs = torch.from_numpy(np.stack(seen.nonzero()).astype(np.int64))
        self.shape = seen.shape

    def propagate(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the layers."""
        layers = [vectors]
        for _ in range(LAYERS):
            layers.append(torch.sparse.mm(self.matrix, layers[-1]))
        users, items = torch.stack(layers, 1).mean(1).split(self.shape)
        return users, items

    def train(self, epochs: int) -> None:
        """BPR by Adam with rate .001 and weight decay 1e-4, as in the paper."""
        generator = torch.Generator().manual_seed(0)
        vectors = torch.nn.Parameter(0.1 * torch.randn(sum(self.shape), DIMS, generator=generator))
        optimizer = torch.optim.Adam([vectors], 1e-3)
        count, started = self.pairs.shape[1], time.monotonic()
        steps = epochs * (-(-count // BATCH))
        for _ in range(epochs):
            order = torch.randperm(count, generator=generator)
            for batch in order.split(BATCH):
                user, item = self.pairs[:, batch]
                drawn = torch.randint(self.shape[1], (len(batch),), generator=generator)
                users, items = self.propagate(vectors)
                gap = (users[user] * (items[item] - items[drawn])).sum(1)
                held = vectors[user].square().sum() + vectors[self.shape[0] + torch.stack([item, drawn])].square().sum()
                loss = torch.nn.functional.softplus(-gap).mean() + 0.5e-4 * held / len(batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if started and time.monotonic() - started > 10:
                    done = float(optimizer.state[vectors]["step"])
                    expected = (time.monotonic() - started) / done * steps
                    print(f"straightforward: {steps:,} steps, about {expected:,.0f} s", flush=True)
                    started = 0.0
        with torch.no_grad():
            self.users, self.items = (part.numpy() for part in self.propagate(vectors))

    def score(self, users: Ids) -> Scores:
        """Inner products."""
        return np.asarray(self.users[users] @ self.items.T, np.float32)


class TimedLightGCN(LightGCN):
    """Ours, timed without what the look at its quality takes."""

    def watch(self, train: scipy.sparse.csr_matrix, held: scipy.sparse.csr_matrix, goal: float) -> TimedLightGCN:
        """Note the seconds to a Recall@20."""
        self.held, self.goal, self.began, self.reached, self.best = held, goal, time.monotonic(), None, 0.0
        return self.fit(train)

    def after_epoch(self, graph: BipartiteGraph, vectors: Tensor, epoch: int) -> None:
        """Look at the quality, with the clock stopped."""
        stopped = time.monotonic()
        self._keep(graph, vectors)
        recall = quality(self, self.seen, self.held)
        self.best = max(self.best, recall)
        if self.reached is None and recall >= self.goal:
            self.reached = stopped - self.began
        self.began += time.monotonic() - stopped


def quality(model: Any, train: scipy.sparse.csr_matrix, held: scipy.sparse.csr_matrix) -> float:
    """Recall@20, all items ranked."""
    return evaluate_scorer(model, train, held, ["recall@20"]).means["recall@20"]


def timed_mix(train: scipy.sparse.csr_matrix, held: scipy.sparse.csr_matrix) -> tuple[float, float, Recommender]:
    """Seconds to fit the closed forms, learn their weights and rank, and Recall@20."""
    started = time.monotonic()
    mix = make_recommender({"name": "mix", "parts": list(CLOSED_FORMS)}).fit(train)
    recall = quality(mix, train, held)
    return time.monotonic() - started, recall, mix


def main() -> None:
    """Run, print a table, and with ``--json`` one line more."""
    options = arguments(__doc__ or "")
    share = 1.0 if options.full else SHARE
    train, held = hold_out(interest_graph(*(int(size * share) for size in GOWALLA)), 0.2)
    # Compiles what is timed.
    timed_mix(*hold_out(interest_graph(200, 300, 4000), 0.2))
    with measured() as whole:
        mix_seconds, mix_recall, mix = timed_mix(train, held)
        print(f"closed-form mix    {mix_seconds:9.1f} s  Recall@20 {mix_recall:.4f}", flush=True)
        started = time.monotonic()
        peer = Straightforward(train)
        peer.train(EPOCHS)
        peer_seconds = time.monotonic() - started
        goal = quality(peer, train, held)
        print(f"straightforward    {peer_seconds:9.1f} s  Recall@20 {goal:.4f}", flush=True)
        ours = {}
        for start in ("spectral", "random"):
            model = TimedLightGCN(LightGCNOptions(start=start)).watch(train, held, goal)
            ours[start] = {"seconds": model.reached, "best_recall": round(model.best, 4)}
            reached = f"{model.reached:9.1f} s" if model.reached is not None else "not reached"
            print(f"ours, {start:12s} {reached}  Recall@20 {goal:.4f}, at best {model.best:.4f}", flush=True)
    reached = [own["seconds"] for own in ours.values() if own["seconds"] is not None]
    result = {
        **surroundings(("numpy", "scipy", "numba", "torch", "scikit-learn")),
        "users": train.shape[0],
        "items": train.shape[1],
        "edges": int(train.nnz + held.nnz),
        "peer_seconds": round(peer_seconds, 1),
        "peer_recall": round(goal, 4),
        "ours": ours,
        "ratio_straightforward": round(peer_seconds / min(reached), 1) if reached else None,
        "mix_seconds": round(mix_seconds, 1),
        "mix_recall": round(mix_recall, 4),
        "mix_weights": dict(zip([part.title for part in mix.parts], mix.weights.round(3).tolist(), strict=True)),
        "peak_gb": round(whole.peak_gb, 2),
    }
    finish(options, result)


if __name__ == "__main__":
    main()

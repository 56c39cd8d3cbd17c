"""LightGCN (He et al., 2020): vectors of users and items, smoothed over their graph, and nothing else to learn.

The graph is smoothed once for a large batch of pairs, forward and backward, and not for each few thousand of them: the
products with it are what training costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gnnscale.arrays import Ids, kept_heap
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.pair_losses import LOSSES, LossOptions, PairBatch
from gnnscale.collaborative.propagation import BipartiteGraph
from gnnscale.collaborative.recommender import Recommender
from gnnscale.collaborative.spectral_start import spectral_vectors
from gnnscale.config import Positive, Section
from gnnscale.nn import repeatable_sums
from gnnscale.schema import RECOMMENDERS

SCALE: Final = 0.1
"""Deviation of what vectors start from: smaller ones take longer, larger ones fit chance before they fit the rest."""


MOST_PAIRS: Final = 1 << 18
"""Of a batch: 64 MB of vectors of 64 dimensions."""


class LightGCNOptions(Section):
    """Of :class:`LightGCN`.

    Args:
        dims: of the vectors.
        layers: products with the graph; 0 is matrix factorization.
        loss: ``bpr``, ``sampled_softmax``, ``cosine_contrastive`` (drawn negatives), or ``softmax`` over all items.
        negatives: items that are drawn for a batch and shared by its pairs; of BPR, one for each pair.
        temperature: divides the inner products of a softmax.
        margin, negative_weight: of the cosine-contrastive loss.
        epochs: passes over all pairs.
        batch_pairs: about how many pairs the graph is smoothed for; ``auto`` takes a fifth of them, at most 262,144.
        learning_rate: of Adam.
        l2: of the vectors before they are smoothed.
        start: ``spectral`` takes the first singular vectors of the normalized graph, which are what smoothing would
            leave in the end; ``random`` draws.
        device: where it is trained; ``auto`` takes a GPU where there is one.
    """

    dims: Positive = 64
    layers: Annotated[int, Field(ge=0)] = 3
    loss: Literal["bpr", "sampled_softmax", "softmax", "cosine_contrastive"] = "sampled_softmax"
    negatives: Positive = 1024
    temperature: Annotated[float, Field(gt=0)] = 1.0
    margin: Annotated[float, Field(ge=-1, le=1)] = 0.4
    negative_weight: Annotated[float, Field(gt=0)] = 150.0
    epochs: Positive = 30
    batch_pairs: Literal["auto"] | Positive = "auto"
    learning_rate: Annotated[float, Field(gt=0)] = 0.01
    l2: Annotated[float, Field(ge=0)] = 0.0
    start: Literal["spectral", "random"] = "spectral"
    device: str = "auto"


@RECOMMENDERS.register("lightgcn")
class LightGCN(Recommender):
    """Inner products of smoothed vectors.

    Attributes:
        users, items: smoothed, float32 ``[n, dims]``.
    """

    title = "LightGCN"
    meaning = "Vectors of users and items, smoothed over their graph."
    Options = LightGCNOptions
    draws = True
    trials: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"epochs": 15}, {"layers": 2}, {"layers": 1, "epochs": 60})

    def learn(self) -> None:
        """Train on all pairs."""
        options = self.options
        device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        graph = BipartiteGraph(self.seen, device)
        vectors = torch.nn.Parameter(self._start().to(device))
        optimizer = torch.optim.Adam([vectors], options.learning_rate)
        loss = LOSSES[options.loss]
        given = LossOptions(options.temperature, options.margin, options.negative_weight)
        with repeatable_sums(device), kept_heap():
            for epoch in range(options.epochs):
                for batch in self._batches(epoch, device):
                    users, items = graph.smooth(vectors, options.layers).split(graph.shape)
                    total = loss(users, items, batch, given) / len(batch.items)
                    if options.l2:
                        total = total + options.l2 * vectors.square().sum() / len(vectors)
                    optimizer.zero_grad(set_to_none=True)
                    total.backward()
                    optimizer.step()
                self.after_epoch(graph, vectors.detach(), epoch)
        self._keep(graph, vectors.detach())

    def after_epoch(self, graph: BipartiteGraph, vectors: Tensor, epoch: int) -> None:
        """Called with the vectors before they are smoothed; for those who watch the training."""

    def score(self, users: Ids) -> Scores:
        """Inner products, float32 ``[len(users), n_items]``."""
        return np.asarray(self.users[users] @ self.items.T, np.float32)

    def _keep(self, graph: BipartiteGraph, vectors: Tensor) -> None:
        users, items = graph.smooth(vectors, self.options.layers).split(graph.shape)
        if self.options.loss == "cosine_contrastive":
            # It leaves the lengths to chance; of users they don't matter.
            items = torch.nn.functional.normalize(items, dim=1)
        self.users, self.items = users.cpu().numpy(), items.cpu().numpy()

    def _start(self) -> Tensor:
        """The vectors before training, ``[n_users + n_items, dims]``."""
        options, generator = self.options, torch.Generator().manual_seed(self.seed)
        drawn = SCALE * torch.randn(sum(self.seen.shape), options.dims, generator=generator)
        if options.start == "random":
            return drawn
        # As long as what would be drawn, so that one learning rate fits both.
        found = spectral_vectors(self.seen, options.dims, self.seed, SCALE)
        drawn *= 0.1
        drawn[:, : found.shape[1]] += torch.from_numpy(found)
        return drawn

    def _batches(self, epoch: int, device: str) -> Iterator[PairBatch]:
        """All pairs, by users in an order of the epoch's own."""
        options, seen = self.options, self.seen
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(np.flatnonzero(np.diff(seen.indptr)))
        ends = np.cumsum(np.diff(seen.indptr)[order])
        most = min(MOST_PAIRS, ends[-1] / 5) if options.batch_pairs == "auto" else options.batch_pairs
        count = max(1, round(ends[-1] / most))
        cuts = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count)
        for users in np.split(order, cuts):
            rows = seen[users]
            place = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
            size = (rows.nnz, 1) if options.loss == "bpr" else (options.negatives,)
            parts = (users, place, rows.indices, rng.integers(0, seen.shape[1], size))
            yield PairBatch(*(torch.from_numpy(part.astype(np.int64)).to(device) for part in parts))


class BPROptions(LightGCNOptions):
    """Of :class:`BPR`: those of :class:`LightGCN`, without layers."""

    layers: Annotated[int, Field(ge=0)] = 0
    loss: Literal["bpr", "sampled_softmax", "softmax", "cosine_contrastive"] = "bpr"
    l2: Annotated[float, Field(ge=0)] = 0.01
    start: Literal["spectral", "random"] = "random"


@RECOMMENDERS.register("bpr_mf")
class BPR(LightGCN):
    """Matrix factorization by BPR (Rendle et al., 2009): no graph."""

    title = "BPR-MF"
    meaning = "Vectors of users and items, trained to put what was had before an item that was drawn."
    Options = BPROptions
    trials = ({}, {"epochs": 60}, {"l2": 0.1, "epochs": 60})

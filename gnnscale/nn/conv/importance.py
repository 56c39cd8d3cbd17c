"""Importance pooling: neighbors weigh as often as random walks visit them (Ying et al., PinSage, 2018: algorithm 1)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gnnscale.config import Positive, Section
from gnnscale.nn.conv.sage import pool
from gnnscale.schema import CONVOLUTIONS


class ImportanceOptions(Section):
    """Of :class:`ImportanceConv`.

    Args:
        hidden: channels of an encoded neighbor; default: those of the message.
        weighted: whether neighbors count by their weights; false takes their mean, as mean pooling does.
    """

    hidden: Positive | None = None
    weighted: bool = True


@CONVOLUTIONS.register("importance")
class ImportanceConv(nn.Module):
    """``W gamma(ReLU(Q h_u + q), alpha_u for neighbors u)``, gamma the mean weighted by importance alpha.

    Args:
        parents, children: channels of a node and of its neighbors.
        out: channels of the message.
        hidden: channels of an encoded neighbor; default: as ``out``.
        weighted: whether neighbors count by their weights.
    """

    Options = ImportanceOptions

    def __init__(self, parents: int, children: int, out: int, hidden: int | None = None, weighted: bool = True) -> None:
        super().__init__()
        self.weighted = weighted
        self.neighbor = nn.Linear(children, hidden or out)
        self.linear = nn.Linear(hidden or out, out, bias=False)

    def forward(self, parents: Tensor, children: Tensor, present: Tensor, weights: Tensor | None = None) -> Tensor:
        """Messages to the parents; arguments as of :class:`SAGEConv`, ``weights`` being visits or their shares."""
        pooled = pool(self.encode_neighbors(children), present, "mean", weights if self.weighted else None)
        return self.of_pooled(pooled)

    def encode_neighbors(self, children: Tensor) -> Tensor:
        """What is pooled of neighbors, ``[..., children]`` -> ``[..., hidden]``."""
        return functional.relu(self.neighbor(children))

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Messages of neighbors that are pooled already, ``[..., hidden]``."""
        message: Tensor = self.linear(pooled)
        return message

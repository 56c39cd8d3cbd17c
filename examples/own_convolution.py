"""A convolution of one's own, registered by its name and chosen in the configuration.

    python examples/own_convolution.py

A package of one's own names its classes in the entry point group ``gnnscale.convolution`` instead.
"""

from __future__ import annotations

import tempfile

from torch import Tensor, nn

import gnnscale as gs
from examples.shop import shop_frames
from gnnscale.schema import CONVOLUTIONS


@CONVOLUTIONS.register("log_count")
class LogCountConv(nn.Module):
    """``W sum(h_u for neighbors u) / log(2 + |u|)``: between the mean and the sum of the neighbors.

    Args:
        parents, children: channels of a node and of its neighbors.
        out: channels of the message.
    """

    def __init__(self, parents: int, children: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(children, out, bias=False)

    def forward(self, parents: Tensor, children: Tensor, present: Tensor, weights: Tensor | None = None) -> Tensor:
        """Messages to the parents, ``[..., out]``, of neighbors ``[..., fanout, children]``."""
        there = present.to(children.dtype)
        total = (children * there.unsqueeze(-1)).sum(-2)
        message: Tensor = self.linear(total / (2 + there.sum(-1, keepdim=True)).log())
        return message


def main() -> None:
    """Count each customer's orders of the next week with it."""
    graph = gs.Graph.from_tables(shop_frames())
    query = graph.query("PREDICT COUNT(orders.*, 0, 7, days) FOR EACH customers.customer_id", name="orders_next_week")
    chosen = {"model.network": "blocks", "model.convolution": "log_count", "training.epochs": 2}
    with tempfile.TemporaryDirectory() as lake:
        model = query.fit(lake, mode="fast", overrides=chosen)
        print(model.metrics)
        print(model.predict([1, 2, 3]))


if __name__ == "__main__":
    main()

"""Labels of one's own in place of those that a query makes: what the business counts as lost, say.

    python examples/own_examples.py
"""

from __future__ import annotations

import tempfile

import pandas as pd

import gnnscale as gs
from examples.shop import shop_frames


def lost_customers(orders: pd.DataFrame) -> pd.DataFrame:
    """At several anchor times, whether each customer buys no coffee-priced thing within the next ten days."""
    rows = []
    for anchor in pd.date_range("2024-02-01", "2024-03-15", freq="7D"):
        later = orders[(orders["ordered_at"] > anchor) & (orders["ordered_at"] <= anchor + pd.Timedelta(days=10))]
        counts = later.groupby("customer_id").size()
        for customer in range(200):
            rows.append((customer, anchor, int(counts.get(customer, 0) < 3)))
    return pd.DataFrame(rows, columns=["customer_id", "anchor_time", "target"])


def main() -> None:
    """Train on them; the query says what is predicted, the examples say what came true."""
    frames = shop_frames()
    graph = gs.Graph.from_tables(frames)
    query = graph.query("PREDICT COUNT(orders.*, 0, 10, days) < 3 FOR EACH customers.customer_id", name="lost")
    with tempfile.TemporaryDirectory() as lake:
        model = query.fit(
            lake,
            mode="fast",
            overrides={"training.epochs": 1, "training.workers": 1},
            examples=lost_customers(frames["orders"]),
        )
        print(model.metrics)


if __name__ == "__main__":
    main()

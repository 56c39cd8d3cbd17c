"""Labels of one's own in place of those that a query makes: what the business counts as lost, say.

python examples/own_examples.py
"""

from __future__ import annotations

import tempfile

import pandas as pd

import gnnscale as gs
from examples.shop import shop_frames


def lost_customers(orders: pd.DataFrame) -> pd.DataFrame:
    """At several anchor times, whether each customer orders less than three times within the next ten days."""
    parts = []
    for anchor in pd.date_range("2024-02-01", "2024-03-15", freq="7D"):
        later = orders[(orders["ordered_at"] > anchor) & (orders["ordered_at"] <= anchor + pd.Timedelta(days=10))]
        counts = later["customer_id"].value_counts().reindex(range(200), fill_value=0)
        part = {"customer_id": counts.index, "anchor_time": anchor, "target": (counts < 3).to_numpy()}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Train on them; the query says what is predicted, the examples say what came true."""
    frames = shop_frames()
    graph = gs.Graph.from_tables(frames)
    query = graph.query("PREDICT COUNT(orders.*, 0, 10, days) < 3 FOR EACH customers.customer_id", name="lost")
    with tempfile.TemporaryDirectory() as lake:
        model = query.fit(
            lake,
            mode="fast",
            overrides={"training.epochs": 1},
            examples=lost_customers(frames["orders"]),
        )
        print(model.metrics)


if __name__ == "__main__":
    main()

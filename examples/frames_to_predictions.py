"""From pandas frames to ranked predictions, and the same model read back from the lake.

python examples/frames_to_predictions.py
"""

from __future__ import annotations

import tempfile

import gnnscale as gs
from examples.shop import shop_frames

QUERY = "PREDICT LIST_DISTINCT(orders.product_id, 0, 7, days) RANK TOP 10 FOR EACH customers.customer_id"


def main() -> None:
    """Fit, look at the figures, and ask for some customers."""
    graph = gs.Graph.from_tables(shop_frames())
    print(graph)
    query = graph.query(QUERY, name="next_week")
    print(query.explain())
    with tempfile.TemporaryDirectory() as lake:
        model = query.fit(lake, mode="fast", overrides={"training.epochs": 1})
        print(model.metrics)
        print(model.predict([1, 2], k=3))
        same = gs.load_model(lake, "next_week")
        assert same.predict([1, 2], k=3).equals(model.predict([1, 2], k=3))


if __name__ == "__main__":
    main()

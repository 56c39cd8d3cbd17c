"""A small shop for the examples: customers who come more or less often, for what they like, as pandas frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

TASTES = ("coffee", "tea", "juice")


def shop_frames(customers: int = 200, products: int = 60, days: int = 90, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Tables ``customers``, ``products`` and ``orders``.

    Args:
        customers, products: rows of these.
        days: that the orders span.
        seed: of the random choices.
    """
    rng = np.random.default_rng(seed)
    category = rng.integers(0, len(TASTES), products)
    taste = rng.integers(0, len(TASTES), customers)
    activity = rng.gamma(1.0, 1.0, customers)
    buyer = rng.choice(customers, 40 * customers, p=activity / activity.sum())
    own = np.array([np.flatnonzero(category == t) for t in range(len(TASTES))], dtype=object)
    liked = np.array([rng.choice(own[taste[c]]) for c in buyer])
    bought = np.where(rng.random(len(buyer)) < 0.8, liked, rng.integers(0, products, len(buyer)))
    seconds = np.sort(rng.integers(0, days * 86_400, len(buyer)))
    start = pd.Timestamp("2024-01-01")
    return {
        "customers": pd.DataFrame({"customer_id": range(customers), "age": rng.integers(18, 80, customers)}),
        "products": pd.DataFrame(
            {
                "product_id": range(products),
                "category": [TASTES[c] for c in category],
                "price": rng.gamma(3.0, 4.0, products).round(2),
            }
        ),
        "orders": pd.DataFrame(
            {
                "customer_id": buyer,
                "product_id": bought,
                "ordered_at": (start + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]"),
            }
        ),
    }

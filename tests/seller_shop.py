"""A small marketplace of the form of Olist's files: sellers with a category each, products, and lines of orders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SELLERS, PRODUCTS, LINES, CATEGORIES, DAYS = 40, 400, 3000, 5, 420
OPENING = pd.Timestamp("2017-06-01", tz="UTC")
LATEST = OPENING + pd.Timedelta(days=DAYS)


def seller_frames(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Tables by the names of the recipe.

    A seller has one category and sizes that it sells; each of its products is first sold on a day of its own, and some
    are sold by a second seller.
    """
    rng = np.random.default_rng(seed)
    category = np.arange(SELLERS) % CATEGORIES
    size = rng.normal(0, 1, SELLERS)
    owner = rng.integers(0, SELLERS, PRODUCTS)
    second = np.where(rng.random(PRODUCTS) < 0.3, (owner + CATEGORIES) % SELLERS, owner)
    weight = np.exp(6 + size[owner] + rng.normal(0, 0.2, PRODUCTS))
    products = pd.DataFrame(
        {
            "product_id": [f"p{i:03d}" for i in range(PRODUCTS)],
            "product_category_name": [f"category {category[i]}" for i in owner],
            "product_name_lenght": rng.integers(20, 60, PRODUCTS),
            "product_description_lenght": rng.integers(100, 900, PRODUCTS),
            "product_photos_qty": rng.integers(1, 6, PRODUCTS),
            "product_weight_g": weight.round(),
            "product_length_cm": (weight ** (1 / 3) * 2).round(),
            "product_height_cm": (weight ** (1 / 3)).round(),
            "product_width_cm": (weight ** (1 / 3) * 1.5).round(),
        }
    )
    sellers = pd.DataFrame(
        {
            "seller_id": [f"s{i:02d}" for i in range(SELLERS)],
            "seller_zip_code_prefix": rng.integers(1000, 9999, SELLERS),
            "seller_city": [f"city {i % 7}" for i in range(SELLERS)],
            "seller_state": [f"state {i % 3}" for i in range(SELLERS)],
        }
    )
    first = rng.integers(0, DAYS - 5, PRODUCTS)
    item = np.sort(rng.choice(PRODUCTS, LINES, p=(share := rng.pareto(1.5, PRODUCTS) + 0.2) / share.sum()))
    day = first[item] + rng.random(LINES) * (DAYS - first[item])
    seller = np.where(rng.random(LINES) < 0.5, owner[item], second[item])
    order = np.arange(LINES) // 2
    lines = pd.DataFrame(
        {
            "order_id": [f"o{i:04d}" for i in rng.permutation(order)],
            "order_item_id": 1,
            "product_id": products["product_id"].to_numpy()[item],
            "seller_id": sellers["seller_id"].to_numpy()[seller],
            "shipping_limit_date": OPENING + pd.to_timedelta((day * 86_400).astype(int), unit="s"),
            "price": rng.random(LINES) * 100,
            "freight_value": rng.random(LINES) * 10,
        }
    )
    return {"sellers": sellers, "products": products, "order_lines": lines}


def write_seller_shop(folder: Path) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The tables as files, and the overrides that name them."""
    frames = seller_frames()
    overrides = []
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")
        overrides.append(f"tables.{name}.source={folder / f'{name}.parquet'}")
    return frames, overrides

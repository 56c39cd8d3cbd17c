"""A small database with every trap that a label can fall into: ties, nulls, dangling keys, rows at the very anchor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

OPENING = pd.Timestamp("2024-01-01", tz="UTC")  # a Monday
DAYS = 120
USERS, ITEMS, ORDERS, VISITS, REVIEWS = 48, 24, 700, 900, 160
SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
TIMES = {"users": "joined", "orders": "ordered_at", "visits": "at"}
EDGES = (-SECOND, -1, 0, 1, 250_000, SECOND, SECOND + 1, 60 * SECOND, 60 * SECOND + 1, 90 * SECOND, 3_600 * SECOND)
"""Microseconds from a Monday midnight at which facts are planted, since that is where windows begin and end."""


@dataclass(frozen=True)
class Database:
    """The tables as pandas frames, those with a key indexed by it; ``when`` is the time of a row."""

    users: pd.DataFrame
    cities: pd.DataFrame
    items: pd.DataFrame
    orders: pd.DataFrame
    visits: pd.DataFrame
    reviews: pd.DataFrame


def make_database(folder: Path, seed: int = 0) -> tuple[Database, dict[str, Any]]:
    """Write ``folder/<table>.parquet``.

    Returns:
        The tables, and content for :func:`gnnscale.config.build_settings` whose lake is ``folder/lake``.
    """
    rng = np.random.default_rng(seed)
    tables = {
        "users": _users(rng),
        "cities": _cities(),
        "items": _items(rng),
        "orders": _orders(rng),
        "visits": _visits(rng),
        "reviews": _reviews(rng),
    }
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return Database(**{name: readable(name, frame) for name, frame in tables.items()}), settings_content(folder)


def readable(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A table as the oracle takes it: missing values are None or NaN, never ``pd.NA``, and ``when`` is added."""
    frame = frame.copy()
    for column in frame.columns:
        if isinstance(frame[column].dtype, pd.Int64Dtype):
            frame[column] = frame[column].astype(float)
    if name in TIMES:
        frame["when"] = frame[TIMES[name]]
    key = {"users": "user_id", "cities": "city_id", "items": "item_id", "orders": "order_id"}.get(name)
    return frame.set_index(key, drop=False).rename_axis(None) if key else frame


def settings_content(folder: Path) -> dict[str, Any]:
    """The recipe; its query is one that any graph stage can place windows with."""

    def source(name: str) -> str:
        return str(folder / f"{name}.parquet")

    return {
        "recipe": "labels",
        "lake": {"uri": str(folder / "lake")},
        "tables": {
            "users": {
                "source": source("users"),
                "primary_key": "user_id",
                "time_column": "joined",
                "end_time": "left",
                "columns": {"email": "ignore", "hobbies": "multicategorical"},
                "foreign_keys": {"city_id": "cities"},
            },
            "cities": {"source": source("cities"), "primary_key": "city_id"},
            "items": {"source": source("items"), "primary_key": "item_id", "columns": {"shelf": "categorical"}},
            "orders": {
                "source": source("orders"),
                "primary_key": "order_id",
                "time_column": "ordered_at",
                "foreign_keys": {"user_id": "users", "item_id": "items"},
            },
            "visits": {
                "source": source("visits"),
                "time_column": "at",
                "columns": {"topics": "multicategorical"},
                "foreign_keys": {"user_id": "users"},
            },
            "reviews": {"source": source("reviews"), "foreign_keys": {"user_id": "users", "item_id": "items"}},
        },
        "query": {
            "name": "labels",
            "text": "PREDICT LIST_DISTINCT(orders.item_id, 0, 7, days) RANK TOP 5 FOR EACH users.user_id",
        },
        "anchors": {"test": "2024-04-01", "step_days": 7},
        "sampling": {
            "entity_hops": [{"orders.user_id": 4}, {"orders.item_id": 1}],
            "target_hops": [{"orders.item_id": 4}],
        },
        "spark": {"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2},
    }


def _moments(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Microseconds after the opening [rows]: whole seconds, fractions, exact midnights and the edges of Mondays."""
    micros = rng.integers(1, DAYS * DAY, rows)
    whole = rng.random(rows) < 0.3
    micros[whole] = micros[whole] // SECOND * SECOND
    midnight = rng.random(rows) < 0.12
    micros[midnight] = rng.integers(0, DAYS, midnight.sum()) * DAY
    monday = rng.random(rows) < 0.12
    micros[monday] = rng.integers(1, DAYS // 7, monday.sum()) * 7 * DAY + rng.choice(EDGES, monday.sum())
    # The first and last rows pin the range of times, so that plans do not hang on the seed.
    micros[0], micros[1] = 0, DAYS * DAY - 1
    return micros


def _stamp(micros: np.ndarray) -> pd.Series:
    return pd.Series(OPENING + pd.to_timedelta(micros, unit="us")).astype("datetime64[us, UTC]")


def _quarters(rng: np.random.Generator, low: int, high: int, rows: int, missing: float) -> np.ndarray:
    # Sums of multiples of 1/4 are exact in any order.
    values = rng.integers(low * 4, high * 4, rows) / 4
    values[rng.random(rows) < missing] = np.nan
    return values


def _some(rng: np.random.Generator, values: list[Any], rows: int, missing: float) -> list[Any]:
    chosen = rng.integers(0, len(values), rows)
    absent = rng.random(rows) < missing
    return [None if gone else values[i] for i, gone in zip(chosen, absent, strict=True)]


def user_keys() -> list[str]:
    """Keys of the users, in order."""
    return [f"u{i:02d}" for i in range(USERS)]


def _users(rng: np.random.Generator) -> pd.DataFrame:
    # A third is there from before the opening; the first Mondays see some join at, and just after, an anchor.
    joined = rng.integers(-40 * DAY, 100 * DAY, USERS)
    joined[: USERS // 2] = rng.integers(-200 * DAY, 0, USERS // 2)
    mondays = 7 * DAY * rng.integers(2, 12, 8)
    joined[-8:] = mondays + np.array([0, 0, 0, 1, 1, 500_000, SECOND, -1])
    left = np.where(rng.random(USERS) < 0.35, np.maximum(joined, 0) + rng.integers(10 * DAY, 90 * DAY, USERS), -1)
    left[:6] = 7 * DAY * rng.integers(5, 13, 6) + np.array([0, 0, 0, 1, 500_000, -1])
    frame = pd.DataFrame(
        {
            "user_id": user_keys(),
            "country": _some(rng, ["DE", "DE", "de", "FR", "AT"], USERS, 0.2),
            "age": _quarters(rng, 18, 70, USERS, 0.2),
            "premium": _some(rng, [True, False], USERS, 0.2),
            "email": [
                f"{key}@{'post' if i % 3 else 'mail'}.{'de' if i % 2 else 'com'}" for i, key in enumerate(user_keys())
            ],
            "hobbies": [
                ["chess", "chess, go", " go ,chess,", None, "", "sailing", ",", "go,go"][i % 8] for i in range(USERS)
            ],
            "birthday": _some(
                rng, [date(1960, 2, 29), date(1990, 1, 1), date(1990, 1, 2), date(2001, 7, 4)], USERS, 0.15
            ),
            "city_id": pd.array(_some(rng, [1, 2, 3, 4, 5, 6, 99], USERS, 0.15), dtype="Int64"),
            "joined": _stamp(joined),
            "left": _stamp(left).where(left >= 0),
        }
    )
    return frame.sample(frac=1, random_state=1)


def _cities() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "city_id": range(1, 9),
            "name": ["Berlin", "Bad Aibling", "New York", "L'Aquila", "berlin", "Bern", "Oslo", "York"],
            "size": ["big", "small", "big", None, "small", "big", "big", "small"],
            "founded": [date(1237, 1, 1), date(804, 1, 1), date(1624, 5, 4), None, *[date(1900, 6, 1)] * 4],
        }
    )


def _items(rng: np.random.Generator) -> pd.DataFrame:
    codes = ["A_1", "AB1", "A%1", "a.1", "A.1", "xA_1", "A_1x", "axb", "a+b", "aab", "", "[ab]"]
    return pd.DataFrame(
        {
            "item_id": range(1, ITEMS + 1),
            "category": _some(rng, ["food", "Food", "toys", "home", "garden"], ITEMS, 0.15),
            "price": _quarters(rng, 1, 50, ITEMS, 0.0),
            "Unit Price": _quarters(rng, 1, 20, ITEMS, 0.2),
            "shelf": pd.array(_some(rng, [1, 2, 3, 4], ITEMS, 0.15), dtype="Int64"),
            "code": (codes * 2)[:ITEMS],
        }
    )


def _orders(rng: np.random.Generator) -> pd.DataFrame:
    micros = _moments(rng, ORDERS)
    buyers, items = user_keys()[:-3], [*range(1, ITEMS - 1)]
    users = rng.choice([*buyers, "nobody", "-"], ORDERS)
    # Each twin shares user and second with the row before it; every other one differs by a fraction of the second.
    twins = np.arange(3, ORDERS, 5)
    users[twins], micros[twins] = users[twins - 1], micros[twins - 1]
    micros[twins[::2]] = -(-micros[twins[::2]] // SECOND) * SECOND
    notes = ["gift", "a gift for Ann", "Gift", "100% gift", "gift_wrap", "none", "", "line one\nline two"]
    frame = pd.DataFrame(
        {
            "order_id": np.arange(1_000, 1_000 + ORDERS),
            "user_id": [None if user == "-" else user for user in users],
            "item_id": pd.array(_some(rng, [*items, 777], ORDERS, 0.05), dtype="Int64"),
            "amount": _quarters(rng, -10, 60, ORDERS, 0.2),
            "quantity": rng.integers(1, 6, ORDERS),
            "channel": _some(rng, ["web", "web", "store", "app"], ORDERS, 0.15),
            "gift": _some(rng, [True, False, False], ORDERS, 0.2),
            "note": _some(rng, notes, ORDERS, 0.1),
            "ordered_at": _stamp(micros),
        }
    )
    # A class that no training period has seen.
    frame.loc[(micros > 85 * DAY) & (frame["channel"] == "app"), "channel"] = "kiosk"
    return frame.sample(frac=1, random_state=2)


def _visits(rng: np.random.Generator) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "user_id": _some(rng, [*user_keys()[2:], "ghost"], VISITS, 0.03),
            "page": _some(rng, ["home", "cart", "help", "HOME"], VISITS, 0.1),
            "seconds": _quarters(rng, 0, 90, VISITS, 0.15),
            "at": _stamp(_moments(rng, VISITS)),
        }
    )
    frame["topics"] = [["news", "news, sport", None, "sport,news", "art"][i % 5] for i in range(VISITS)]
    # Rows that are the same in every column still count one each.
    return pd.concat([frame, frame.iloc[5:60]]).sample(frac=1, random_state=3)


def _reviews(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": _some(rng, [*user_keys()[5:40], "nobody"], REVIEWS, 0.05),
            "item_id": pd.array(_some(rng, [*range(3, ITEMS + 1), 777], REVIEWS, 0.05), dtype="Int64"),
            "stars": rng.integers(1, 6, REVIEWS),
            "text": _some(rng, ["good", "bad", "so so", "very good"], REVIEWS, 0.1),
        }
    )

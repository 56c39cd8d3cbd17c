"""A marketplace of one-of-a-kind items with structure to learn: each is listed, and sold once or taken down.

Every item has a style, which decides what it is bought with and which nothing says outright: brands have one, sellers
stock theirs, and descriptions name words of it, though some of them lie. Who buys takes a few live items of one style
whose categories go together (a bag and shoes, now and then two bags), more often of one seller, whose parcels come
together. So what is nearest in text is some of what is bought along, and not most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.schema import ConfigError

OPENING: Final = np.datetime64("2024-01-01T00:00:00")
DAY: Final = 86_400
CATEGORIES: Final = 12
STYLES: Final = 16
WORDS: Final = 20
"""Of a style, and of a category."""

SHELF_DAYS: Final = 45
"""After which an item that nobody bought is taken down."""

SYLLABLES: Final = ("ba", "ke", "li", "mo", "nu", "pra", "ri", "so", "ta", "ve", "wi", "zu")


@dataclass(frozen=True)
class MarketplaceSettings:
    """What is generated.

    Args:
        items: that are listed.
        days: from the first to the last of them.
        sold: about which share of them finds a buyer.
        lies: share of the words of style and category in a description that are of another one.
        seed: of all draws.

    Raises:
        ConfigError: a number is out of range.
    """

    items: int = 12_000
    days: int = 180
    sold: float = 0.7
    lies: float = 0.35
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("items", "days"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more: got {getattr(self, name)}")
        for name in ("sold", "lies"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be within 0 and 1: got {getattr(self, name)}")


@dataclass(frozen=True)
class _Items:
    """What an item is; every array ``[items]``, times in seconds after the opening."""

    category: Ids
    style: Ids
    brand: Ids
    seller: Ids
    listed: Ids


def write_marketplace(folder: str | Path, settings: MarketplaceSettings) -> list[Path]:
    """Write ``items.parquet`` and ``order_lines.parquet``.

    Items have ``item_id``, ``description``, ``category``, ``brand``, ``seller``, ``price``, ``listed_at`` and
    ``gone_at``: when they were sold or taken down, null of those that are still there at the end. Lines have
    ``order_id``, ``item_id`` and ``ordered_at``; an item is in one at most.

    Returns:
        The files.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([settings.seed, 0])
    items = _items(rng, settings)
    order, bought, at = _orders(np.random.default_rng([settings.seed, 1]), items, settings)
    end = settings.days * DAY
    gone = items.listed + SHELF_DAYS * DAY
    gone[bought] = at
    known = gone <= end
    keys = np.char.add("i", np.char.zfill(np.arange(settings.items).astype(str), 7))
    table = pa.table(
        {
            "item_id": keys,
            "description": _texts(np.random.default_rng([settings.seed, 2]), items, settings.lies),
            "category": np.char.add("category ", items.category.astype(str)),
            "brand": np.char.add("brand ", items.brand.astype(str)),
            "seller": np.char.add("seller ", items.seller.astype(str)),
            "price": np.round(np.exp(rng.normal(3 + 0.1 * (items.category % 5), 0.5)), 2),
            "listed_at": OPENING + items.listed,
            "gone_at": pa.array(OPENING + gone, mask=~known),
        }
    )
    lines = pa.table(
        {
            "order_id": order.astype(np.int64),
            "item_id": keys[bought],
            "ordered_at": OPENING + at.astype("timedelta64[s]"),
        }
    )
    files = [place / "items.parquet", place / "order_lines.parquet"]
    for file, rows in zip(files, (table, lines), strict=True):
        pq.write_table(rows, file)
    return files


def _items(rng: np.random.Generator, settings: MarketplaceSettings) -> _Items:
    count = settings.items
    brands, sellers = max(STYLES, count // 60), max(STYLES, count // 40)
    brand_style, seller_style = rng.integers(0, STYLES, brands), rng.integers(0, STYLES, sellers)
    activity = rng.pareto(1.5, sellers) + 0.2
    seller = rng.choice(sellers, count, p=activity / activity.sum())
    # Sellers stock what they know, and something else now and then; so do brands.
    style = np.where(rng.random(count) < 0.7, seller_style[seller], rng.integers(0, STYLES, count))
    of_style = [np.flatnonzero(brand_style == s) for s in range(STYLES)]
    brand = np.array(
        [
            rng.choice(of_style[s]) if len(of_style[s]) and own else rng.integers(0, brands)
            for s, own in zip(style, rng.random(count) < 0.75, strict=True)
        ]
    )
    listed = np.sort(rng.integers(0, settings.days * DAY, count))
    return _Items(rng.integers(0, CATEGORIES, count), style, brand, seller, listed)


def _orders(rng: np.random.Generator, items: _Items, settings: MarketplaceSettings) -> tuple[Ids, Ids, Ids]:
    """Order, item and time of each line, by time: buyers come evenly, and take what is live."""
    share = 2.6
    orders = int(settings.items * settings.sold / share)
    times = np.sort(rng.integers(0, settings.days * DAY, orders))
    sold = np.zeros(settings.items, np.bool_)
    order, bought, at = [], [], []
    for number, time in enumerate(times):
        first, last = np.searchsorted(items.listed, [time - SHELF_DAYS * DAY, time], side="right")
        live = np.arange(first, last)[~sold[first:last]]
        if len(live) < 2:
            continue
        lead = int(rng.choice(live))
        taken = [lead]
        for _ in range(int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))):
            weight = _fit(items, live, lead)
            weight[np.isin(live, taken)] = 0
            total = weight.sum()
            if total <= 0:
                break
            taken.append(int(rng.choice(live, p=weight / total)))
        sold[taken] = True
        order += [number] * len(taken)
        bought += taken
        at += [int(time)] * len(taken)
    return np.array(order, np.int64), np.array(bought, np.int64), np.array(at, np.int64)


def _fit(items: _Items, live: Ids, lead: int) -> NDArray[np.float64]:
    """How likely each live item is bought along: of the lead's style and seller, of a category that goes with it."""
    apart = (items.category[live] - items.category[lead]) % CATEGORIES
    goes = np.select([np.isin(apart, (1, CATEGORIES - 1, CATEGORIES // 2)), apart == 0], [1.0, 0.4], 0.03)
    style = np.where(items.style[live] == items.style[lead], 1.0, 0.01)
    seller = np.where(items.seller[live] == items.seller[lead], 8.0, 1.0)
    return np.asarray(goes * style * seller, np.float64)


def _texts(rng: np.random.Generator, items: _Items, lies: float) -> list[str]:
    """Descriptions: words of style and category, some of them of another, and words that say nothing."""
    words = _vocabulary(rng, (STYLES + CATEGORIES) * WORDS + 400)
    count = len(items.style)

    def drawn(own: Ids, kinds: int, first: int, number: int) -> Ids:
        shown = np.where(rng.random((count, number)) < lies, rng.integers(0, kinds, (count, number)), own[:, None])
        return first + shown * WORDS + rng.integers(0, WORDS, (count, number))

    parts = [
        drawn(items.style, STYLES, 0, 3),
        drawn(items.category, CATEGORIES, STYLES * WORDS, 2),
        (STYLES + CATEGORIES) * WORDS + rng.integers(0, 400, (count, 4)),
    ]
    chosen = rng.permuted(np.concatenate(parts, axis=1), axis=1)
    return [" ".join(row) for row in words[chosen]]


def _vocabulary(rng: np.random.Generator, count: int) -> NDArray[np.str_]:
    """Words of three or four syllables, each once."""
    numbers = rng.permutation(len(SYLLABLES) ** 4)[:count]
    places = np.stack([numbers // len(SYLLABLES) ** i % len(SYLLABLES) for i in range(4)], axis=1)
    return np.array(["".join(SYLLABLES[p] for p in row) for row in places])

"""A log of a cosmetics shop with structure to learn, in the columns of the public one: CSV by month, of any size.

Every user has a few product lines that the user comes back to. A session looks at products of one of them, or at what
is popular; what is looked at may be put into the cart, taken out again, and bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.schema import ConfigError

MONTHS: Final = ("2019-10", "2019-11", "2019-12", "2020-01", "2020-02")
"""As in the public log."""

BEHAVIORS: Final = ("view", "cart", "remove_from_cart", "purchase")

LINE_ITEMS: Final = 24
"""Products of a line, in the mean."""

STEPS: Final = 1.74
"""Events that come of a look at a product, in the mean."""

NEWCOMERS = 2 / 3
"""Most of a month's sessions that are of users for whom one is kept."""


@dataclass(frozen=True)
class ShopLogSettings:
    """What is generated.

    Args:
        users, products: how many there are.
        events: about how many events.
        seed: of all draws.

    Raises:
        ConfigError: one is below 1.
    """

    users: int
    products: int
    events: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("users", "products", "events"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more: got {getattr(self, name)}")


def write_shop_log(folder: str | Path, settings: ShopLogSettings) -> list[Path]:
    """Write ``2019-Oct.csv`` and so on, a month at a time.

    Returns:
        The files.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([settings.seed, len(MONTHS)])
    lines = max(1, settings.products // LINE_ITEMS)
    line = rng.integers(0, lines, settings.products)
    weight = rng.pareto(1.2, settings.products) + 0.05
    brand, price = line // 3, np.round(np.exp(rng.normal(1.6, 0.8, settings.products)), 2)
    tastes = rng.integers(0, lines, (settings.users, 3))
    activity = np.cumsum(rng.pareto(1.3, settings.users) + 0.1)
    drawer = _Drawer(line, weight)
    files = []
    for month, name in enumerate(MONTHS):
        own = np.random.default_rng([settings.seed, month])
        looks = int(settings.events / STEPS / len(MONTHS))
        # Each comes at least once where there is room: few would be all that are ever seen.
        newcomers = np.arange(month, settings.users, len(MONTHS))
        user, product, session, time = _looks(own, looks, activity, newcomers, tastes, drawer, name)
        row, kind, later = _steps(own, len(user))
        order = np.argsort(time[row] + later, kind="stable")
        row, kind, later = row[order], kind[order], later[order]
        stamp = (time[row] + later).astype("datetime64[s]")
        item = product[row]
        table = pa.table(
            {
                "event_time": pa.array([f"{text.replace('T', ' ')} UTC" for text in np.datetime_as_string(stamp)]),
                "event_type": pa.DictionaryArray.from_arrays(kind.astype(np.int8), list(BEHAVIORS)).cast(pa.string()),
                "product_id": item + 3_000_000,
                "category_id": line[item].astype(np.int64) + 1_487_580_000_000_000_000,
                "category_code": pa.nulls(len(item), pa.string()),
                "brand": pa.array(brand[item]).cast(pa.string()),
                "price": price[item],
                "user_id": user[row] + 10_000_000,
                "user_session": pa.array(session[row] + (month << 40)).cast(pa.string()),
            }
        )
        files.append(place / f"{np.datetime64(name).astype(object):%Y-%b}.csv")
        pyarrow.csv.write_csv(table, files[-1])
    return files


class _Drawer:
    """Draws products of lines by their weights; of a line without any, from the whole catalogue."""

    def __init__(self, line: Ids, weight: NDArray[np.float64]) -> None:
        self.order = np.argsort(line, kind="stable")
        self.heap = np.concatenate(([0.0], np.cumsum(weight[self.order])))
        self.starts = np.searchsorted(line[self.order], np.arange(line.max() + 2))

    def draw(self, rng: np.random.Generator, lines: Ids, anything: NDArray[np.bool_]) -> Ids:
        lines = np.minimum(lines, len(self.starts) - 2)
        low, high = self.heap[self.starts[lines]], self.heap[self.starts[lines + 1]]
        whole = anything | (high <= low)
        low, high = np.where(whole, 0.0, low), np.where(whole, self.heap[-1], high)
        found = np.searchsorted(self.heap, low + rng.random(len(lines)) * (high - low), side="right") - 1
        return np.asarray(self.order[np.clip(found, 0, len(self.order) - 1)])


def _looks(
    rng: np.random.Generator,
    count: int,
    activity: NDArray[np.float64],
    newcomers: Ids,
    tastes: Ids,
    drawer: _Drawer,
    month: str,
) -> tuple[Ids, Ids, Ids, Ids]:
    """User, product, session and time, in seconds, of each look at a product."""
    size = 1 + rng.geometric(0.3, max(1, round(count / (1 + 1 / 0.3))))
    session = np.repeat(np.arange(len(size)), size)
    users = np.searchsorted(activity, rng.random(len(size)) * activity[-1])
    come = min(len(newcomers), int(NEWCOMERS * len(size)))
    users[rng.permutation(len(size))[:come]] = newcomers[:come]
    line = tastes[users, rng.choice(3, len(size), p=[0.6, 0.25, 0.15])]
    start = np.datetime64(month, "s").astype(np.int64)
    length = (np.datetime64(month) + 1).astype("datetime64[s]").astype(np.int64) - start
    begun = start + (rng.random(len(size)) * (length - 7200)).astype(np.int64)
    place = np.arange(len(session)) - np.repeat(np.cumsum(size) - size, size)
    product = drawer.draw(rng, line[session], rng.random(len(session)) < 0.15)
    return users[session], product, session, begun[session] + 60 * place


def _steps(rng: np.random.Generator, looks: int) -> tuple[Ids, Ids, Ids]:
    """Look, kind and seconds after it, of each event: views, and of some the cart, its removal or the purchase."""
    rows, kinds, seconds = [np.arange(looks)], [np.zeros(looks, np.int64)], [np.zeros(looks, np.int64)]
    carted = np.flatnonzero(rng.random(looks) < 0.45)
    fate = rng.random(len(carted))
    for kind, chosen, after in ((1, carted, 20), (2, carted[fate < 0.3], 40), (3, carted[fate > 0.65], 900)):
        rows.append(chosen)
        kinds.append(np.full(len(chosen), kind))
        seconds.append(np.full(len(chosen), after))
    return np.concatenate(rows), np.concatenate(kinds), np.concatenate(seconds)

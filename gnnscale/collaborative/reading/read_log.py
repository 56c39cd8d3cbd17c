"""From a source to an :class:`InteractionLog`: which columns are which, and what each row counts."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnnscale.arrays import Ids
from gnnscale.collaborative.reading.log import PART_WORDS, InteractionLog, Part
from gnnscale.collaborative.reading.source import read_source
from gnnscale.config import InteractionSettings
from gnnscale.schema import DataError, nearest

USUAL_NAMES: Final = {
    "user": ("user", "user_id", "userid", "uid", "visitorid", "customer_id"),
    "item": ("item", "item_id", "itemid", "iid", "movie_id", "movieid", "product_id", "business_id"),
    "rating": ("rating", "ratings", "stars", "score", "weight"),
    "time": ("time", "timestamp", "event_time", "datetime", "date", "position"),
    "split": ("split", "part", "fold"),
    "behavior": ("event_type", "event", "behavior", "type"),
}
"""How columns are called, in small letters."""

NEEDED: Final = ("user", "item")


def read_interactions(settings: InteractionSettings) -> InteractionLog:
    """Read the source of a recipe.

    Raises:
        LakeError: there is nothing.
        DataError: a column is missing, or no row is left.
    """
    table = read_source(settings.source, settings.test_source, settings.lake.storage_options)
    names = find_columns(table.column_names, settings)
    table = table.select(list(dict.fromkeys(names.values()))).drop_null()
    if settings.min_rating is not None:
        if "rating" not in names:
            raise DataError(
                f"min_rating needs a column of ratings, and there is none among {', '.join(names.values())}"
            )
        table = table.filter(pc.greater_equal(table[names["rating"]], settings.min_rating))
    if settings.behaviors:
        table = _known_behaviors(table, names, settings)
    if not len(table):
        raise DataError(f"{settings.source} has no interactions")
    user, user_keys = _numbered(table[names["user"]])
    item, item_keys = _numbered(table[names["item"]])
    weight, is_target = _weights(table, names, settings)
    time = _times(table[names["time"]]) if "time" in names else None
    part = _parts(table[names["split"]]) if "split" in names else None
    return InteractionLog(user, item, user_keys, item_keys, weight, is_target, time, part)


def find_columns(columns: list[str], settings: InteractionSettings) -> dict[str, str]:
    """What a column is for -> its name, of those that are there.

    Raises:
        DataError: one that is named is not there, or users or items are not found.
    """
    found: dict[str, str] = {}
    small = {name.lower(): name for name in columns}
    for role, names in USUAL_NAMES.items():
        given = getattr(settings.columns, role)
        if given is not None and given not in columns:
            raise DataError(f"columns.{role}: there is no column '{given}'.{nearest(given, columns)}")
        usual = next((small[name] for name in names if name in small), None)
        if name := given or usual:
            found[role] = name
    if missing := [role for role in NEEDED if role not in found]:
        what, how = (
            " nor of ".join(f"{role}s" for role in missing),
            " ".join(f"columns.{role}=NAME" for role in missing),
        )
        raise DataError(f"no column of {what} is found among {', '.join(columns)}; name it: {how}")
    if settings.behaviors and "behavior" not in found:
        raise DataError(f"behaviors need a column of types among {', '.join(columns)}; name it: columns.behavior")
    return found


def _known_behaviors(table: pa.Table, names: dict[str, str], settings: InteractionSettings) -> pa.Table:
    kept = pc.is_in(table[names["behavior"]], value_set=pa.array(list(settings.behaviors)))
    found = table.filter(kept)
    if not len(found):
        there = ", ".join(map(str, pc.unique(table[names["behavior"]]).to_pylist()[:8]))
        raise DataError(f"no event is one of behaviors ({', '.join(settings.behaviors)}); there are {there}")
    return found


def _numbered(column: pa.ChunkedArray) -> tuple[Ids, pa.Array]:
    """Numbers in order of the keys, int64, and the keys."""
    keys = pc.unique(column)
    keys = keys.take(pc.array_sort_indices(keys))
    return pc.index_in(column, value_set=keys).to_numpy().astype(np.int64), keys


def _weights(
    table: pa.Table, names: dict[str, str], settings: InteractionSettings
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if settings.behaviors:
        kinds = list(settings.behaviors)
        place = pc.index_in(table[names["behavior"]], value_set=pa.array(kinds)).to_numpy()
        each = np.array([settings.behaviors[kind] for kind in kinds], np.float32)
        targets = np.array([kind in settings.targets for kind in kinds]) if settings.targets else each > 0
        return each[place], targets[place]
    if settings.use_ratings and "rating" in names:
        weight = table[names["rating"]].to_numpy().astype(np.float32)
        return weight, weight > 0
    return np.ones(len(table), np.float32), np.ones(len(table), np.bool_)


def _times(column: pa.ChunkedArray) -> Ids:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        # "2019-10-01 00:00:00 UTC", as the cosmetics shop writes it.
        column = pc.strptime(pc.utf8_slice_codeunits(column, 0, 19), format="%Y-%m-%d %H:%M:%S", unit="s")
    if pa.types.is_temporal(column.type):
        column = pc.cast(column, pa.timestamp("us"), safe=False)
        return column.to_numpy().astype("datetime64[us]").astype(np.int64)
    return column.to_numpy().astype(np.int64)


def _parts(column: pa.ChunkedArray) -> NDArray[np.int8]:
    words = pc.unique(pc.cast(column, pa.string()))
    each = np.array([PART_WORDS.get(str(word).lower(), Part.TRAIN) for word in words.to_pylist()], np.int8)
    return each[pc.index_in(pc.cast(column, pa.string()), value_set=words).to_numpy()]

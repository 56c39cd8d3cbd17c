"""How many rows, how much and which classes an entity had lately: sums over fixed windows before its anchor.

Counts and amounts need no learning, so they are taken over all sampled slots at once, before any network sees them;
what a network encodes slot by slot can then be a short history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling import Path
from gnnscale.schema import FeatureManifest, GraphManifest
from gnnscale.store import GraphStore

Floats = NDArray[np.float32]

EDGES = (1.0, 3.0, 7.0, 14.0, 28.0, 56.0, 112.0, 224.0)
"""Ends of the windows, in days before the anchor; one more window holds everything."""
WINDOWS = len(EDGES) + 1
NEVER = 1_000.0
"""Days since the last row of an entity that has none."""
MOST_CLASSES = 1_000
"""Past this the sums of a batch, examples x classes, would not fit."""
COVERED = 0.9
"""Share of the classes that a column must know to be taken for the one that they come from."""


@dataclass(frozen=True)
class FlatHop:
    """The sampled slots of one path that hold a node, the latest first within a parent.

    Args:
        parent: index of the example, or of the slot along the path one link shorter, int64 ``[slots]``, ascending.
        nodes: node ids, int64 ``[slots]``.
        age: days to the anchor, float32 ``[slots]``; 0 where undated.
        dated: bool ``[slots]``.
        opens: whether the slot's time differs from the next older one's, bool ``[slots]``.
    """

    parent: NDArray[np.int64]
    nodes: NDArray[np.int64]
    age: Floats
    dated: NDArray[np.bool_]
    opens: NDArray[np.bool_]


class WindowSums:
    """Sums over the slots of every path that leaves the entity for many rows, and over what those rows lead to.

    Args:
        store: the graph.
        paths: of the neighborhood, shorter ones first.
        hidden_columns: (table, column) pairs that must not be seen.
        classes: of the answer; columns whose categories are these are counted class by class.

    Attributes:
        channels: of an example.
        class_channels: of a class of an example; 0 where no column knows the classes.
    """

    def __init__(
        self,
        store: GraphStore,
        paths: Sequence[Path],
        hidden_columns: Iterable[tuple[str, str]] = (),
        classes: Sequence[str] = (),
    ) -> None:
        self._store, self._paths = store, tuple(paths)
        hidden = set(hidden_columns)
        self._columns = {t.name: _amount_columns(store.manifest, t.name, hidden) for t in store.manifest.tables}
        self._classes = len(classes)
        self._class_columns = _find_classes(store.manifest, self._paths, classes, hidden)
        self._roots = [path for path in self._paths if len(path) == 1 and path[0].reverse]
        self.channels = sum(WINDOWS * (2 + 3 * self._width(path)) + 2 for path in self._roots)
        self.class_channels = WINDOWS * len(self._class_columns)

    def example_sums(self, hops: dict[Path, FlatHop], examples: int) -> Floats:
        """Logarithms of counts, visits and amounts, and of mean amounts a row and a visit.

        Args:
            hops: of every path.
            examples: their number.

        Returns:
            float32 ``[examples, channels]``.
        """
        amounts: dict[Path, Floats] = {}
        for path in reversed(self._paths):
            hop = hops[path]
            # [slots, columns of the rows and of all that lies behind them]
            below = [p for p in self._paths if p[:-1] == path]
            behind = [_sums_by(hops[p].parent, amounts[p], len(hop.nodes)) for p in below]
            amounts[path] = np.concatenate([self._amounts(path[-1].target, hop.nodes), *behind], axis=1)
        parts = [np.zeros((examples, 0), np.float32)]
        for path in self._roots:
            parts += _summarise(hops[path], amounts[path], examples)
        return np.concatenate(parts, axis=1)

    def class_sums(self, hops: dict[Path, FlatHop], examples: int) -> Floats:
        """Logarithms of the counts of each class, float32 ``[examples, classes, class_channels]``."""
        parts = [np.zeros((examples, self._classes, 0), np.float32)]
        for path, column, classes in self._class_columns:
            known = classes[self._store.features(path[-1].target).categorical[hops[path].nodes, column]]
            example, window = _root(path, hops)
            cells = (example * (self._classes + 1) + known) * WINDOWS + window
            counts = np.bincount(cells, minlength=examples * (self._classes + 1) * WINDOWS)
            counts = counts.reshape(examples, self._classes + 1, WINDOWS)[:, :-1]
            parts.append(np.log1p(np.cumsum(counts, axis=2)).astype(np.float32))
        return np.concatenate(parts, axis=2)

    def _width(self, path: Path) -> int:
        behind = sum(self._width(p) for p in self._paths if p[:-1] == path)
        return len(self._columns[path[-1].target]) + behind

    def _amounts(self, table: str, nodes: NDArray[np.int64]) -> Floats:
        """Decoded numbers over their scales, float32 ``[nodes, columns]``."""
        columns = self._columns[table]
        found = np.empty((len(nodes), len(columns)), np.float32)
        numerical = self._store.features(table).numerical
        rows = numerical[nodes] if columns else numerical[:0]
        for i, (column, feature) in enumerate(columns):
            found[:, i] = decode(rows[:, column], feature) / amount_scale(feature)
        return found


def _root(path: Path, hops: dict[Path, FlatHop]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Example and window of each slot; a parent that was looked up is as old as the row that names it."""
    at = np.arange(len(hops[path].nodes))
    window = None
    for length in range(len(path), 0, -1):
        hop = hops[path[:length]]
        if window is None and path[length - 1].reverse:
            window = _window(hop.age, hop.dated)[at]
        at = hop.parent[at]
    return at, np.full(len(at), WINDOWS - 1) if window is None else window


def decode(values: Floats, feature: FeatureManifest) -> Floats:
    """Encoded numbers as they were."""
    inner = values * np.float32(feature.std) + np.float32(feature.mean)
    return signed_expm1(inner) if feature.log else inner


def amount_scale(feature: FeatureManifest) -> float:
    """A scale that a few huge values don't set: the larger end of one deviation around the mean, as encoded."""
    ends = np.array([feature.mean - feature.std, feature.mean + feature.std])
    return float(np.abs(signed_expm1(ends) if feature.log else ends).max()) or 1.0


def signed_log1p(values: Floats) -> Floats:
    """sign(x) log(1 + |x|)."""
    return np.copysign(np.log1p(np.abs(values)), values)


def signed_expm1(values: Floats) -> Floats:
    """Inverse of :func:`signed_log1p`; bounded, so that nothing overflows."""
    return np.copysign(np.expm1(np.minimum(np.abs(values), 60)), values)


def _amount_columns(
    manifest: GraphManifest, table: str, hidden: set[tuple[str, str]]
) -> list[tuple[int, FeatureManifest]]:
    # Times don't add up.
    features = enumerate(manifest.table(table).numerical)
    return [(i, f) for i, f in features if f.type == "numerical" and (table, f.column) not in hidden]


def _find_classes(
    manifest: GraphManifest, paths: Sequence[Path], classes: Sequence[str], hidden: set[tuple[str, str]]
) -> list[tuple[Path, int, NDArray[np.int64]]]:
    """Paths, columns and code -> class (their number for what is no class) of columns that hold the classes."""
    found = []
    codes = {name: i for i, name in enumerate(classes)}
    for path in paths if 0 < len(classes) <= MOST_CLASSES else ():
        table = path[-1].target
        for column, feature in enumerate(manifest.table(table).categorical):
            # Code 0 is a missing value.
            index = np.array([len(classes)] + [codes.get(name, len(classes)) for name in feature.categories])
            known = len(np.unique(index[index < len(classes)]))
            if known >= COVERED * len(classes) and (table, feature.column) not in hidden:
                found.append((path, column, index))
    return found


def _summarise(hop: FlatHop, amounts: Floats, examples: int) -> list[Floats]:
    cells = hop.parent * WINDOWS + _window(hop.age, hop.dated)

    def over_windows(values: Floats) -> Floats:
        sums = _sums_by(cells, values, examples * WINDOWS).reshape(examples, WINDOWS, -1)
        return np.cumsum(sums, axis=1, dtype=np.float64).astype(np.float32)

    # [examples, WINDOWS, 2 and columns]
    sums = over_windows(np.column_stack([np.ones(len(amounts), np.float32), hop.opens, amounts]))
    count, visits, amount = sums[..., :1], sums[..., 1:2], sums[..., 2:]
    rows = [np.log1p(sums[..., :2])]
    each: tuple[Floats, ...] = (amount, amount / count.clip(min=1), amount / visits.clip(min=1))
    rows += [signed_log1p(part) for part in each]
    last = np.full(examples, NEVER, np.float32)
    first = np.full(examples, NEVER, np.float32)
    age = np.where(hop.dated, hop.age, NEVER).astype(np.float32)
    # Latest first: what is written last stands.
    last[hop.parent[::-1]] = age[::-1]
    first[hop.parent] = age
    return [*(row.reshape(examples, -1) for row in rows), np.log(np.stack([last, first], axis=1) + np.float32(0.05))]


def _window(age: Floats, dated: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(dated, np.searchsorted(EDGES, age, side="right"), WINDOWS - 1)


def _sums_by(index: NDArray[np.int64], values: Floats, segments: int) -> Floats:
    """Rows summed by index: ``[rows, columns]`` -> float32 ``[segments, columns]``."""
    found = np.empty((segments, values.shape[1]), np.float32)
    for column in range(values.shape[1]):
        found[:, column] = np.bincount(index, values[:, column], minlength=segments)
    return found

"""The reader's side: rows of the current version by their keys, and candidates in order of an entity's vector."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from gnnscale.publish.key_values import KeyValues, connect
from gnnscale.publish.keys import key_texts, text_type
from gnnscale.publish.payloads import VECTORS, read_payload, read_vector
from gnnscale.publish.versions import PAIRS, Namespace, State, TableState, seen, split_table
from gnnscale.schema import ConfigError, StoreError, nearest

ATTEMPTS: Final = 100
"""Times that a lookup begins again because a version came while it read; one comes a day."""

Wanted = Sequence[tuple[str, Sequence[Any]]]
"""Table, as its namespace calls it, and keys."""


class Store:
    """What was published, for services: every lookup is answered from one whole version.

    Tables are called ``<query>/predictions`` and, for vectors, ``<query>/<table>``. Threads may share a store.

    Args:
        values: where the pairs are.
    """

    def __init__(self, values: KeyValues) -> None:
        self._values = values
        self._states: dict[str, tuple[bytes, State]] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, uri: str) -> Self:
        """The store at a URI.

        Args:
            uri: ``redis://host:port/database``, ``unix://socket``, or the path of an SQLite file.

        Raises:
            ConfigError: no store is known by the URI's scheme.
            StoreError: it can't be reached, or nothing was published to it.
        """
        return cls(connect(uri))

    def close(self) -> None:
        """Let go of connections."""
        self._values.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def state(self, query: str) -> State:
        """The current version of a query's tables, and what it says of them.

        Raises:
            StoreError: nothing of that query was published.
        """
        state = State.from_bytes(self._values.read([Namespace(query).state])[0])
        if not state.version:
            raise StoreError(f"nothing of query '{query}' was published to this store")
        return state

    def lookup(self, table: str, keys: Iterable[Any]) -> list[dict[str, Any] | None]:
        """Rows of some keys, in their order; None for those that the table has no row of.

        Rows of vectors have ``vector``, float32 ``[channels]``, and those of predictions what the query's task
        predicts: ``target`` and ``score``, lists in order of rank, or ``value``; all have ``anchor_time``.

        Args:
            table: ``<query>/predictions``, or ``<query>/<table>``.
            keys: plain values.

        Raises:
            ConfigError, StoreError: there is no such table.
        """
        names, name = split_table(table)
        state, (payloads,) = self._read(names, [(name, list(keys))])
        layout = state.tables[name].layout
        return [None if payload is None else read_payload(payload, layout) for payload in payloads]

    def vectors(self, table: str, keys: Iterable[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors of some keys.

        Args:
            table: ``<query>/<table>``.
            keys: plain values.

        Returns:
            Float32 ``[keys, channels]``, and whether the table has the key; of those that it has not, zeros.
        """
        names, name = split_table(table)
        state, (payloads,) = self._read(names, [(name, list(keys))])
        return _stacked(state.tables[name], name, payloads)

    def rerank(self, query: str, entity: Any, candidates: Iterable[Any]) -> list[tuple[Any, float]]:
        """Candidates in order of an entity's scores, the best first, as a search service would have them ordered.

        All comes from one version. The score of a candidate is that of the vectors, by the metric of retrieval; where
        the network has scored it as one of the entity's own neighborhood, that score stands instead, as in predictions.

        Args:
            query: its name.
            entity: its key.
            candidates: keys of targets; those that have no vector come last, in the order given, with a score of NaN.

        Returns:
            Key, as given, and score.

        Raises:
            StoreError: the entity has no vector, or the vectors of both sides are not of one model.
        """
        candidates, names = list(candidates), self.sides(query)
        wanted = [(names[0], [entity]), (PAIRS, [entity]), (names[1], candidates)]
        state, (own, pairs, others) = self._read(Namespace(query), wanted)
        entities, targets = (state.tables[name] for name in names)
        if entities.source["model"] != targets.source["model"]:
            raise StoreError(f"vectors of {names[0]} and of {names[1]} are not of one model; publish again")
        if own[0] is None:
            raise StoreError(f"{entity!r} has no vector in {query}/{names[0]}")
        vectors, there = _stacked(targets, names[1], others)
        scores = _scores(read_vector(own[0])[1], vectors, targets.layout["metric"])
        scores = np.where(there, scores, np.nan)
        if pairs[0] is not None:
            known = _pair_scores(pairs[0], state.tables[PAIRS].layout)
            for place, text in enumerate(key_texts(candidates, text_type(targets.key_type))):
                scores[place] = known.get(text, scores[place])
        # NaN sorts last, and equal scores keep their order.
        order = np.argsort(-scores, kind="stable")
        return [(candidates[place], float(scores[place])) for place in order]

    def sides(self, query: str) -> tuple[str, str]:
        """Tables of a query's vectors: that of the entities, and that of the targets.

        Raises:
            StoreError: one of them was not published.
        """
        # Tables have the same names in every version of a query, so that the one that was seen last says it.
        found = _sides(self._states[query][1]) if query in self._states else {}
        if len(found) < 2:
            found = _sides(self.state(query))
        if missing := {"entities", "targets"} - set(found):
            raise StoreError(f"store has no vectors of the {' and '.join(sorted(missing))} of query '{query}'")
        return found["entities"], found["targets"]

    def parse_keys(self, table: str, texts: Iterable[str]) -> list[Any]:
        """Keys that somebody typed, as plain values of the table's type."""
        from gnnscale.publish.keys import parse_key

        names, name = split_table(table)
        kind = text_type(_table(names, self.state(names.name), name).key_type)
        return [parse_key(text, kind) for text in texts]

    def _read(self, names: Namespace, wanted: Wanted) -> tuple[State, list[list[bytes | None]]]:
        """Payloads of keys, all of one version.

        The keys of rows depend on the state, which is read along with each part of them: where it is another than the
        one that the keys were made by, or than the part before had, a version has come, and all is read again.
        """
        content, state = self._states.get(names.name) or (None, State())
        for _ in range(ATTEMPTS):
            keys = [] if content is None else _row_keys(names, state, wanted)
            values: list[bytes | None] = []
            step = self._values.most_keys - 1
            for start in range(0, max(1, len(keys)), step):
                found, *part = self._values.read([names.state, *keys[start : start + step]])
                if found is None or found != content:
                    content, state = found, State.from_bytes(found)
                    break
                values += part
            else:
                return state, _split(values, wanted, state.version)
            if content is None:
                raise StoreError(f"nothing of query '{names.name}' was published to this store")
            with self._lock:
                self._states[names.name] = content, state
        raise StoreError(f"{ATTEMPTS} versions of query '{names.name}' came while one lookup was read")


def _sides(state: State) -> dict[str, str]:
    """Side -> table of its vectors."""
    return {table.layout["side"]: name for name, table in state.tables.items() if table.layout["kind"] == VECTORS}


def _row_keys(names: Namespace, state: State, wanted: Wanted) -> list[bytes]:
    keys: list[bytes] = []
    for name, given in wanted:
        if name == PAIRS and name not in state.tables:
            keys += [names.row(name, 0, "")] * len(given)
            continue
        table = _table(names, state, name)
        # What can be no key of the table is looked up in vain: no row is of generation 0.
        keys += [
            names.row(name, 0, "") if text is None else names.row(name, table.generation, text)
            for text in key_texts(given, text_type(table.key_type))
        ]
    return keys


def _table(names: Namespace, state: State, name: str) -> TableState:
    if name not in state.tables:
        known = nearest(name, state.tables)
        raise ConfigError(f"there is no table '{names.name}/{name}' in the store.{known}")
    return state.tables[name]


def _split(values: list[bytes | None], wanted: Wanted, version: int) -> list[list[bytes | None]]:
    found, start = [], 0
    for _, keys in wanted:
        found.append([seen(value, version) for value in values[start : start + len(keys)]])
        start += len(keys)
    return found


def _stacked(
    table: TableState, name: str, payloads: list[bytes | None]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if table.layout["kind"] != VECTORS:
        raise ConfigError(f"table '{name}' of the store holds answers, and no vectors")
    vectors = np.zeros((len(payloads), table.layout["channels"]), np.float32)
    there = np.zeros(len(payloads), bool)
    for place, payload in enumerate(payloads):
        if payload is not None:
            vectors[place], there[place] = read_vector(payload)[1], True
    return vectors, there


def _pair_scores(payload: bytes, layout: dict[str, Any]) -> dict[str | None, float]:
    """Scores of an entity's own pairs, by the targets' keys as text."""
    row = read_payload(payload, layout)
    return {str(target): score for target, score in zip(row["target"], row["score"], strict=True)}


def _scores(query: NDArray[np.float32], targets: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Scores as :class:`gnnscale.retrieval.Metric` has them, larger for nearer, ``[targets]``."""
    scores: NDArray[np.float32]
    if metric == "l2":
        scores = -np.square(targets - query).sum(1)
        return scores
    if metric == "cosine":
        lengths: NDArray[np.float32] = np.linalg.norm(targets, axis=1) * np.linalg.norm(query)
        scores = (targets @ query / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return scores
    scores = targets @ query
    return scores

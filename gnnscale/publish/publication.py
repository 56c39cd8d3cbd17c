"""Writing a version: batch by batch beside the one that is read, a switch, and what nobody reads any more removed."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

from gnnscale.publish.key_values import KeyValues
from gnnscale.publish.versions import Entries, Namespace, State, TableState, Work, pack, seen, unpack
from gnnscale.schema import StoreError

log = logging.getLogger(__name__)

Rows = Iterable[tuple[str, bytes]]
"""Key, as text, and payload of each row."""


@dataclass(frozen=True)
class NewTable:
    """What a version says of a table beside its rows; see :class:`gnnscale.publish.versions.TableState`."""

    key_type: str
    layout: dict[str, Any]
    source: dict[str, Any]


class Publication:
    """One new version of a namespace; who begins later takes over, and the one before is told so.

    A writer that is killed leaves the version that readers see as it is. The next one removes what it has left.

    Args:
        values: the store.
        query: whose tables these are.
        batch_rows: rows that are written in one transaction.

    Raises:
        StoreError: the store can't be reached.
    """

    def __init__(self, values: KeyValues, query: str, batch_rows: int) -> None:
        self._values, self._names, self._size = values, Namespace(query), min(batch_rows, values.most_keys)
        self._token = uuid.uuid4().hex.encode()
        values.write({self._names.writer: self._token})
        state, work = values.read([self._names.state, self._names.work])
        self.state = State.from_bytes(state)
        self._tables = dict(self.state.tables)
        self._work = Work.from_bytes(work)
        self._tidy()
        # Never one that was begun before: what it has left would count as the new one's.
        self._work = Work(max(self.state.version, self._work.version) + 1)

    @property
    def version(self) -> int:
        """The number of the new version."""
        return self._work.version

    def write_table(self, table: str, new: NewTable, rows: Rows) -> int:
        """Write a table anew; its rows of before are removed after the switch.

        Returns:
            Rows written.
        """
        old = self.state.tables.get(table)
        dropped = ((table, old.generation, old.pages),) if old else ()
        self._plan(replace(self._work, anew=(*self._work.anew, table), dropped=(*self._work.dropped, *dropped)))
        written = pages = 0
        for batch in _batches(rows, self._size):
            keys = [key for key, _ in batch]
            pairs = {self._names.row(table, self.version, key): pack([(self.version, value)]) for key, value in batch}
            self._write(pairs | {self._names.page(table, self.version, pages): _page(keys)})
            written, pages = written + len(batch), pages + 1
        self._tables[table] = TableState(self.version, pages, new.key_type, new.layout, new.source, written)
        return written

    def write_changes(self, table: str, source: dict[str, Any], rows: Rows) -> int:
        """Write some rows of a table that is there; the others stay.

        Returns:
            Rows written.
        """
        old = self._tables[table]
        names, generation = self._names, old.generation
        self._plan(replace(self._work, changed={**self._work.changed, table: (generation, old.pages)}))
        written = added = 0
        pages = old.pages
        for batch in _batches(rows, self._size):
            keys = [names.row(table, generation, key) for key, _ in batch]
            before = [seen(value, self.state.version) for value in self._values.read(keys)]
            pairs = {}
            for key, (_, payload), kept in zip(keys, batch, before, strict=True):
                entries: Entries = [(self.version, payload)]
                pairs[key] = pack(entries if kept is None else [*entries, (self.state.version, kept)])
            self._write(pairs | {names.page(table, generation, pages): _page([key for key, _ in batch])})
            written, added, pages = written + len(batch), added + before.count(None), pages + 1
        self._tables[table] = replace(old, pages=pages, source=source, rows=old.rows + added)
        return written

    def remove_table(self, table: str) -> None:
        """Leave a table out of the new version."""
        old = self._tables.pop(table)
        self._plan(replace(self._work, dropped=(*self._work.dropped, (table, old.generation, old.pages))))

    def switch(self) -> State:
        """Make the version the current one, and remove what no reader sees any more."""
        self.state = State(self.version, self._tables, time.time())
        self._write({self._names.state: self.state.to_bytes()})
        self._tidy()
        return self.state

    def _plan(self, work: Work) -> None:
        self._work = work
        self._write({self._names.work: work.to_bytes()})

    def _write(self, pairs: dict[bytes, bytes], removed: Iterable[bytes] = ()) -> None:
        if not self._values.write(pairs, tuple(removed), (self._names.writer, self._token)):
            raise StoreError(
                f"another run publishes '{self._names.name}' to this store, and has taken over; readers see its "
                "version as soon as it is whole"
            )

    def _tidy(self) -> None:
        """Remove what the writer of :attr:`_work` has left: of a version that readers see, else of one that is not."""
        work, switched = self._work, self.state.version >= self._work.version
        for table, (generation, first) in work.changed.items():
            # The last page first: where this is interrupted, the first ones lead to the others.
            for number in reversed(list(self._pages(table, generation, first))):
                self._settle(table, generation, number, switched)
        gone = [(table, generation, pages) for table, generation, pages in work.dropped] if switched else []
        gone += [] if switched else [(table, work.version, 0) for table in work.anew]
        for table, generation, pages in gone:
            self._drop(table, generation, pages)
        if work.changed or gone:
            self._plan(Work(work.version))
            log.debug("tidied up after version %d of '%s'", work.version, self._names.name)

    def _pages(self, table: str, generation: int, first: int) -> Iterator[int]:
        """Numbers of the pages from one on; they are written in order."""
        for number in count(first):
            if self._values.read([self._names.page(table, generation, number)])[0] is None:
                return
            yield number

    def _settle(self, table: str, generation: int, number: int, switched: bool) -> None:
        """Leave the rows of a page as the current version has them, and in the page those that are new to the table."""
        page = self._names.page(table, generation, number)
        names = _keys(self._values.read([page])[0])
        keys = [self._names.row(table, generation, name) for name in names]
        pairs, removed, new = {}, [], []
        for name, key, value in zip(names, keys, self._values.read(keys), strict=True):
            entries = unpack(value)
            kept = [entry for entry in entries if entry[0] <= self.state.version][:1]
            if not kept:
                removed.append(key)
            elif len(entries) > 1:
                pairs[key] = pack(kept)
            else:
                new.append(name)
        if switched:
            self._write(pairs | {page: _page(new)}, removed)
        else:
            self._write(pairs, [*removed, page])

    def _drop(self, table: str, generation: int, pages: int) -> None:
        """Remove a generation, the last page first; where their number is 0, those are that are found."""
        last = pages - 1 if pages else max(self._pages(table, generation, 0), default=-1)
        for number in range(last, -1, -1):
            page = self._names.page(table, generation, number)
            keys = _keys(self._values.read([page])[0])
            self._write({}, [*(self._names.row(table, generation, key) for key in keys), page])


def _batches(rows: Rows, size: int) -> Iterator[list[tuple[str, bytes]]]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def _page(keys: list[str]) -> bytes:
    return json.dumps(keys).encode()


def _keys(page: bytes | None) -> list[str]:
    return [] if page is None else list(json.loads(page))

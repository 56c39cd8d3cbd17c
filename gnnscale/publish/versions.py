"""How versions lie in a store of keys and values.

One pair, the state, says which version readers see. A row's value holds its payload with the version that wrote it;
while a version is being written, rows that it changes hold two. A table that is written anew gets other keys, those of
a new generation. Pages list a generation's keys, so that rows can be found again without the store being searched.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, Final

from gnnscale.schema import ConfigError

_HEAD: Final = struct.Struct("<II")
"""Before each payload of a row: version and length in octets."""

PAIRS: Final = "pairs"
"""Table of a namespace: targets of an entity whose scores are not those of the vectors."""

Entries = list[tuple[int, bytes]]
"""Version and payload, the newest first."""


def pack(entries: Entries) -> bytes:
    """Payloads of a row as one value."""
    return b"".join(_HEAD.pack(version, len(payload)) + payload for version, payload in entries)


def unpack(value: bytes | None) -> Entries:
    """Inverse of :func:`pack`; empty where there is no row."""
    found: Entries = []
    at = 0
    while value is not None and at < len(value):
        version, length = _HEAD.unpack_from(value, at)
        at += _HEAD.size
        found.append((version, value[at : at + length]))
        at += length
    return found


def seen(value: bytes | None, version: int) -> bytes | None:
    """The payload of a row that readers of a version see."""
    return next((payload for written, payload in unpack(value) if written <= version), None)


@dataclass(frozen=True)
class TableState:
    """One table as a version has it.

    Args:
        generation: version that wrote it anew; part of its rows' keys.
        pages: of the generation.
        key_type: of its keys, as :func:`gnnscale.publish.keys.type_text` has it.
        layout: how payloads are read; see :mod:`gnnscale.publish.payloads`.
        source: of the lake, which the rows were read from.
        rows: their number.
    """

    generation: int
    pages: int
    key_type: str
    layout: dict[str, Any]
    source: dict[str, Any]
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class State:
    """What readers see of a namespace.

    Args:
        version: 0 before the first.
        tables: name -> table.
        published: when the version became the current one, epoch seconds.
    """

    version: int = 0
    tables: dict[str, TableState] = field(default_factory=dict)
    published: float = 0.0

    def to_bytes(self) -> bytes:
        """As the value of a pair."""
        tables = {name: table.to_dict() for name, table in self.tables.items()}
        return json.dumps({"version": self.version, "tables": tables, "published": self.published}).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> State:
        """Inverse of :meth:`to_bytes`; that of a namespace that nothing was published to, where there is no value."""
        if value is None:
            return cls()
        content = json.loads(value)
        tables = {name: TableState(**table) for name, table in content["tables"].items()}
        return cls(content["version"], tables, content["published"])


@dataclass(frozen=True)
class Work:
    """What a writer does or has done, so that another can tidy up after it.

    Args:
        version: that it writes.
        anew: tables that get a new generation.
        changed: table -> its generation, and pages of it that there were before.
        dropped: table, generation and pages of what no reader needs once the version is the current one.
    """

    version: int = 0
    anew: tuple[str, ...] = ()
    changed: dict[str, tuple[int, int]] = field(default_factory=dict)
    dropped: tuple[tuple[str, int, int], ...] = ()

    def to_bytes(self) -> bytes:
        """As the value of a pair."""
        return json.dumps(self.__dict__).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Work:
        """Inverse of :meth:`to_bytes`; nothing, where there is no value."""
        if value is None:
            return cls()
        content = json.loads(value)
        changed = {name: (int(g), int(pages)) for name, (g, pages) in content["changed"].items()}
        dropped = tuple((str(name), int(g), int(pages)) for name, g, pages in content["dropped"])
        return cls(content["version"], tuple(content["anew"]), changed, dropped)


@dataclass(frozen=True)
class Namespace:
    """Keys of the pairs of one query's tables.

    Args:
        name: of the query.
    """

    name: str

    @property
    def state(self) -> bytes:
        """Of the state."""
        return f"{self.name}/state".encode()

    @property
    def work(self) -> bytes:
        """Of a writer's :class:`Work`."""
        return f"{self.name}/work".encode()

    @property
    def writer(self) -> bytes:
        """Of the token of who writes: the one that began last."""
        return f"{self.name}/writer".encode()

    def row(self, table: str, generation: int, key: str) -> bytes:
        """Of a row."""
        return f"{self.name}/{table}/{generation}/{key}".encode()

    def page(self, table: str, generation: int, number: int) -> bytes:
        """Of a page, from 0."""
        return f"{self.name}/{table}/{generation}#{number}".encode()


def split_table(table: str) -> tuple[Namespace, str]:
    """The namespace of ``<query>/<table>``, and the table's name in it.

    Raises:
        ConfigError: it has no slash.
    """
    query, slash, name = table.partition("/")
    if not (query and slash and name):
        raise ConfigError(f"table '{table}' is called neither <query>/predictions nor <query>/<table>")
    return Namespace(query), name

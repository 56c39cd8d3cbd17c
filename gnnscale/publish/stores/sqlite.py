"""SQLite: one file, any number of readers beside one writer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from gnnscale.publish.key_values import KeyValues
from gnnscale.schema import KEY_VALUE_STORES, StoreError

WAIT_SECONDS: Final = 60.0
"""That a statement waits for another process's transaction."""

READ: Final = "SELECT value FROM pairs WHERE key = ?"


@KEY_VALUE_STORES.register("sqlite")
class SqliteValues(KeyValues):
    """A table of one SQLite file in write-ahead mode, so that readers go on while a writer commits.

    Threads may share it: each has a connection of its own.

    Args:
        path: of the file.
        make: whether it may be written to, and made.
    """

    def __init__(self, path: Path, make: bool) -> None:
        self.path, self._make = path, make
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    @classmethod
    def connect(cls, uri: str, make: bool) -> Self:
        """The file of ``sqlite://<path>``."""
        path = Path(uri.partition("://")[2]).expanduser().absolute()
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise StoreError(f"there is no store {path}; publish to it first")
        found = cls(path, make)
        with found._faults():
            connection = found._connection()
            if make:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("CREATE TABLE IF NOT EXISTS pairs (key BLOB NOT NULL, value BLOB NOT NULL)")
                connection.execute("CREATE UNIQUE INDEX IF NOT EXISTS pairs_by_key ON pairs (key)")
            elif not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pairs'").fetchone():
                raise StoreError(f"{path} is no store that gnnscale has published to")
        return found

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values, by one statement, which sees what was committed when it began."""
        wanted = f"SELECT key, value FROM pairs WHERE key IN ({','.join('?' * len(keys))})"
        with self._faults():
            found = dict(self._connection().execute(wanted, keys).fetchall())
        return [found.get(key) for key in keys]

    def write(
        self,
        pairs: Mapping[bytes, bytes],
        removed: Sequence[bytes] = (),
        only_if: tuple[bytes, bytes] | None = None,
    ) -> bool:
        """One transaction."""
        with self._faults():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                if only_if is not None and connection.execute(READ, (only_if[0],)).fetchone() != (only_if[1],):
                    connection.execute("ROLLBACK")
                    return False
                # In order of key, neighbors in the file are written together.
                connection.executemany(
                    "INSERT INTO pairs VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    sorted(pairs.items()),
                )
                connection.executemany("DELETE FROM pairs WHERE key = ?", [(key,) for key in sorted(removed)])
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return True

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            uri = f"file:{quote(str(self.path))}?mode={'rwc' if self._make else 'ro'}"
            # The thread that closes is not always the one that opened.
            found = sqlite3.connect(uri, uri=True, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            found.execute("PRAGMA synchronous = NORMAL")
            self._local.connection = found
            self._opened.append(found)
        return found

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"store {self.path}: {error}") from None

"""Redis: a server that many hosts read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from gnnscale.publish.key_values import KeyValues
from gnnscale.schema import KEY_VALUE_STORES, StoreError, mask_text

if TYPE_CHECKING:
    from redis import Redis

PREFIX: Final = b"gnnscale/"
"""Of all keys: others may use the server, too."""


@KEY_VALUE_STORES.register("redis")
@KEY_VALUE_STORES.register("rediss")
@KEY_VALUE_STORES.register("unix")
class RedisValues(KeyValues):
    """Plain strings of one Redis server; threads and processes may share it.

    Reads are one MGET and writes one MULTI, which the server does at one moment each. A cluster of servers spreads keys
    over several, where neither holds: take one server, with replicas for more readers.

    Args:
        uri: ``redis://[user:password@]host:port/database``, ``rediss://`` with TLS, ``unix://path``.
        client: that is connected.
    """

    def __init__(self, uri: str, client: Redis) -> None:
        self.uri, self._client = mask_text(uri), client

    @classmethod
    def connect(cls, uri: str, make: bool) -> Self:
        """Connect; a server has nothing to be made."""
        try:
            import redis
        except ImportError:
            raise StoreError("redis is not installed; pip install 'gnnscale[redis]'") from None
        try:
            found = cls(uri, redis.Redis.from_url(uri))
        except ValueError as error:
            raise StoreError(f"store {mask_text(uri)}: {error}") from None
        with found._faults():
            found._client.ping()
        return found

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values, by one command."""
        with self._faults():
            values: Any = self._client.mget([PREFIX + key for key in keys])
            return list(values)

    def write(
        self,
        pairs: Mapping[bytes, bytes],
        removed: Sequence[bytes] = (),
        only_if: tuple[bytes, bytes] | None = None,
    ) -> bool:
        """One transaction, which fails where the guard's value changes on the way."""
        from redis.exceptions import WatchError

        with self._faults(), self._client.pipeline(transaction=True) as pipe:
            if only_if is not None:
                pipe.watch(PREFIX + only_if[0])
                if pipe.get(PREFIX + only_if[0]) != only_if[1]:
                    return False
                pipe.multi()
            if pairs:
                pipe.mset({PREFIX + key: value for key, value in pairs.items()})
            if removed:
                pipe.unlink(*(PREFIX + key for key in removed))
            try:
                pipe.execute()
            except WatchError:
                return False
        return True

    def close(self) -> None:
        """Close the pool of connections."""
        self._client.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except RedisError as error:
            raise StoreError(f"store {self.uri}: {mask_text(str(error))}") from None

"""The one small interface of a key-value store; what a version is stands above it, once for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Self

from gnnscale.schema import KEY_VALUE_STORES, ConfigError, mask_text


class KeyValues(ABC):
    """Octets by octets.

    Another store needs these four methods and no more; registered in ``KEY_VALUE_STORES`` under the scheme of its URIs.

    Attributes:
        most_keys: that are read at once.
    """

    most_keys: ClassVar[int] = 1000

    @classmethod
    @abstractmethod
    def connect(cls, uri: str, make: bool) -> Self:
        """The store at a URI.

        Args:
            uri: its scheme is the store's name.
            make: whether one that is not there is made, where that is a matter of a file.

        Raises:
            StoreError: it can't be reached, or is not there.
        """

    @abstractmethod
    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values of at most :attr:`most_keys` keys, all as of one moment; None where there is none."""

    @abstractmethod
    def write(
        self,
        pairs: Mapping[bytes, bytes],
        removed: Sequence[bytes] = (),
        only_if: tuple[bytes, bytes] | None = None,
    ) -> bool:
        """Write pairs and remove keys, all of it or nothing.

        Args:
            pairs: replace what is there.
            removed: keys, which need not be there.
            only_if: key and value; where the key has another value, or none, nothing is done.

        Returns:
            Whether it was done.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(uri: str, make: bool = False) -> KeyValues:
    """The store at a URI, such as ``sqlite:///srv/store.sqlite`` or ``redis://host:6379/0``; a path is SQLite's.

    Args:
        uri: of the store.
        make: whether a file that is not there is made.

    Raises:
        ConfigError: no store is known by the URI's scheme.
        StoreError: it can't be reached, or is not there.
    """
    scheme, separator, place = uri.partition("://")
    if not separator:
        scheme, place, uri = "sqlite", uri, f"sqlite://{uri}"
    if not place:
        raise ConfigError(f"store '{mask_text(uri)}' names no place; write a path, or a URI such as redis://host:6379")
    found: type[KeyValues] = KEY_VALUE_STORES.find(scheme)
    return found.connect(uri, make)

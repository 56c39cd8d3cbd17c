"""Named implementations of one idea, found beside their siblings or brought by other packages."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from gnnscale.schema.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Implementations of one kind by their names.

    Those of gnnscale are the modules of one package; another package brings its own by the entry point group
    ``gnnscale.<kind>``, whose names are the implementations' and whose values are what is registered. Nothing is
    imported before a name is asked for.

    Args:
        kind: in the singular, as messages and entry points call it, such as ``convolution``.
        home: package whose modules register themselves when they are imported.
    """

    def __init__(self, kind: str, home: str) -> None:
        self.kind, self.home = kind, home
        self._found: dict[str, T] = {}
        self._searched = False
        self._entries: dict[str, Any] | None = None

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that makes a class or a function known under a name.

        Raises:
            ConfigError: another one has the name.
        """

        def keep(implementation: T) -> T:
            known = self._found.get(name)
            if known is not None and _origin(known) != _origin(implementation):
                both = f"{_origin(known)} and {_origin(implementation)}"
                raise ConfigError(f"{self.kind} '{name}' is registered twice, by {both}")
            self._found[name] = implementation
            return implementation

        return keep

    def names(self) -> tuple[str, ...]:
        """All names, in order; modules of :attr:`home` are imported, other packages are not."""
        self._search()
        return tuple(sorted({*self._found, *self._brought()}))

    def find(self, name: str) -> T:
        """The implementation of a name.

        Raises:
            ConfigError: there is none; the message names the nearest and all that there are.
        """
        if name not in self._found:
            self._search()
        if name not in self._found and (entry := self._brought().get(name)):
            self.register(name)(entry.load())
        if name not in self._found:
            known = ", ".join(self.names())
            raise ConfigError(f"there is no {self.kind} '{name}'.{nearest(name, self.names())} Allowed: {known}")
        return self._found[name]

    def _search(self) -> None:
        if self._searched:
            return
        home = import_module(self.home)
        for module in pkgutil.iter_modules(home.__path__):
            import_module(f"{self.home}.{module.name}")
        self._searched = True

    def _brought(self) -> dict[str, Any]:
        # Reads what is installed from disk, some 20 ms: once is enough.
        if self._entries is None:
            self._entries = {entry.name: entry for entry in entry_points(group=f"gnnscale.{self.kind}")}
        return self._entries


def _origin(implementation: Any) -> str:
    where = getattr(implementation, "__module__", "?")
    return f"{where}.{getattr(implementation, '__qualname__', type(implementation).__name__)}"

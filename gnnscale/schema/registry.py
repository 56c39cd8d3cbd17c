"""Named implementations of one idea, found beside their siblings or brought by other packages."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from gnnscale.schema.errors import ConfigError, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class _Registered(Generic[T]):
    """An implementation, and the module that registered it."""

    implementation: T
    module: str

    @property
    def origin(self) -> str:
        """What tells it from others of its name."""
        return f"{self.module}.{getattr(self.implementation, '__qualname__', type(self.implementation).__name__)}"


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
        self._found: dict[str, _Registered[T]] = {}
        self._searched = False
        self._entries: dict[str, Any] | None = None
        _ALL.add(self)

    def register(self, name: str, module: str | None = None) -> Callable[[T], T]:
        """Decorator that makes a class or a function known under a name.

        Args:
            name: that configuration has for it.
            module: that registers it; default: whose code calls this.

        Raises:
            ConfigError: another one has the name. The same module may register it again, as a cell of a notebook does
                that is run twice.
        """
        module = module or str(sys._getframe(1).f_globals.get("__name__", "?"))

        def keep(implementation: T) -> T:
            found = _Registered(implementation, module)
            known = self._found.get(name, found)
            if known.origin != found.origin:
                both = f"{known.origin} and {found.origin}"
                raise ConfigError(f"{self.kind} '{name}' is registered twice, by {both}")
            self._found[name] = found
            return implementation

        return keep

    def temporarily(
        self, implementations: Mapping[str, T] | None = None, module: str | None = None
    ) -> AbstractContextManager[None]:
        """Context at whose end all that was registered within is unknown again, for tests and for trying things out.

        Args:
            implementations: name -> what is registered at its beginning; code within may register more.
            module: that registers them; default: whose code calls this.

        Raises:
            ConfigError: on entry; another one has the name.
        """
        module = module or str(sys._getframe(1).f_globals.get("__name__", "?"))
        return self._restored(dict(implementations or {}), module)

    @contextmanager
    def _restored(self, implementations: dict[str, T], module: str) -> Iterator[None]:
        # Siblings register when they are imported, which is once: those found within would be lost at the end.
        self._search()
        before = dict(self._found)
        try:
            for name, implementation in implementations.items():
                self.register(name, module)(implementation)
            yield
        finally:
            self._found = before

    def added(self) -> dict[str, tuple[str, T]]:
        """What neither gnnscale nor an entry point has registered: name -> module that did, and implementation."""
        found = {name: (known.module, known.implementation) for name, known in self._found.items()}
        return {name: own for name, own in found.items() if not self._is_installed(name, own[0])}

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
            loaded = entry.load()
            # A class that decorates itself is there as soon as its module is.
            if name not in self._found:
                self.register(name, entry.module)(loaded)
        if name not in self._found:
            known = ", ".join(self.names())
            raise ConfigError(f"there is no {self.kind} '{name}'.{nearest(name, self.names())} Allowed: {known}")
        return self._found[name].implementation

    def _search(self) -> None:
        if self._searched:
            return
        home = import_module(self.home)
        for module in pkgutil.iter_modules(home.__path__):
            import_module(f"{self.home}.{module.name}")
        self._searched = True

    def _is_installed(self, name: str, module: str) -> bool:
        """Whether any process finds a name by itself: as one of gnnscale, or by the entry point of a package."""
        package = module.partition(".")[0]
        if package == __name__.partition(".")[0]:
            return True
        entry = self._brought().get(name)
        return entry is not None and package == entry.module.partition(".")[0]

    def _brought(self) -> dict[str, Any]:
        # Reads what is installed from disk, some 20 ms: once is enough.
        if self._entries is None:
            self._entries = {entry.name: entry for entry in entry_points(group=f"gnnscale.{self.kind}")}
        return self._entries


_ALL: WeakSet[Registry[Any]] = WeakSet()

Added = dict[str, dict[str, tuple[str, Any]]]
"""Kind -> what a program has registered by itself: name -> its module, and the implementation."""


def added_implementations() -> Added:
    """What this program has registered by itself, for processes that work for it and have not run its code."""
    return {registry.kind: added for registry in _ALL if (added := registry.added())}


def add_implementations(added: Added) -> None:
    """Register what another process has: the inverse of :func:`added_implementations`."""
    for registry in _ALL:
        for name, (module, implementation) in added.get(registry.kind, {}).items():
            registry.register(name, module)(implementation)

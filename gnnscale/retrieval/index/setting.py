"""Which index, and its parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from gnnscale.config import Section, options_section, read_options
from gnnscale.retrieval.index.metric import Metric
from gnnscale.schema import INDEX_KINDS, ConfigError

if TYPE_CHECKING:
    from gnnscale.retrieval.index.kind import IndexKind

DEVICES = ("cpu", "cuda")
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 16384)
"""Steps by which a search is made more thorough."""


@dataclass(frozen=True)
class IndexSetting:
    """Parameters of an index.

    Args:
        kind: way to search, a name of the registry ``INDEX_KINDS``.
        metric: of the scores.
        options: of the kind, an instance of its ``Options``; None for what it says itself.
        device: ``cpu``, or ``cuda`` where the kind has a form on GPUs.
        threads: that search; 0 for every core.
        seed: of the sample that clusters are trained on.

    Raises:
        ConfigError: there is no such kind, or it does not go with the metric or the device.
    """

    kind: str = "flat"
    metric: Metric = Metric.INNER_PRODUCT
    options: Any = None
    device: str = "cpu"
    threads: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.options is None:
            object.__setattr__(self, "options", self._read({}))
        if self.device not in DEVICES:
            raise ConfigError(f"device of an index is '{self.device}'; one of {', '.join(DEVICES)}")
        if self.device not in self.of_kind.devices:
            others = ", ".join(name for name in INDEX_KINDS.names() if self.device in INDEX_KINDS.find(name).devices)
            raise ConfigError(f"an index of kind {self.kind} has no form on {self.device}; take one of {others}")
        if self.metric not in self.of_kind.metrics:
            known = ", ".join(self.of_kind.metrics)
            raise ConfigError(f"a {self.kind} index has no {self.metric}; take {known} or an index of another kind")

    @classmethod
    def of(
        cls,
        kind: str,
        metric: Metric = Metric.INNER_PRODUCT,
        device: str = "cpu",
        threads: int = 0,
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """A setting of a kind, with those of some options that it has.

        Raises:
            ConfigError: an option is out of range, or as the class.
        """
        setting = cls(kind, metric, None, device, threads, seed)
        return setting.with_options(**{name: options[name] for name in options if setting.has_option(name)})

    @property
    def of_kind(self) -> type[IndexKind]:
        """What the kind knows about itself.

        Raises:
            ConfigError: there is no such kind.
        """
        found: type[IndexKind] = INDEX_KINDS.find(self.kind)
        return found

    def has_option(self, name: str) -> bool:
        """Whether the kind has an option of this name."""
        return name in options_section(self.of_kind).model_fields

    def with_options(self, **changes: Any) -> Self:
        """The same index with other options.

        Raises:
            ConfigError: the kind has no such option, or a value is out of range.
        """
        return replace(self, options=self._read({**self.options.model_dump(), **changes}))

    def _read(self, options: dict[str, Any]) -> Section:
        return read_options(INDEX_KINDS.kind, self.kind, self.of_kind, options)

    @property
    def search_width(self) -> int:
        """How much a search looks at, such as ``nprobe``; 1 where a kind has one way to search."""
        name = self.of_kind.width
        return 1 if name is None else int(getattr(self.options, name))

    @property
    def most_width(self) -> int:
        """The width of the most thorough search."""
        return self.of_kind.most_width(self.options)

    def widths(self) -> list[int]:
        """Widths worth trying, ascending, up to the most."""
        return [width for width in WIDTHS if width < self.most_width] + [self.most_width]

    def with_width(self, width: int) -> Self:
        """The same index, searched more or less thoroughly."""
        return self.at_width(min(width, self.most_width))

    def at_width(self, width: int) -> Self:
        """As :meth:`with_width`, for what may be built with more to look at than this setting tells."""
        name = self.of_kind.width
        return self if name is None else self.with_options(**{name: width})

    def in_words(self) -> str:
        """Kind and options, without those that follow from the machine."""
        options = {name: value for name, value in self.options.model_dump().items() if value != "auto"}
        parts = [f"{name} {f'{value:,}' if isinstance(value, int) else value}" for name, value in options.items()]
        return ", ".join([self.kind, *parts])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        own = {"kind": self.kind, "metric": str(self.metric), "device": self.device}
        return {**own, "threads": self.threads, "seed": self.seed, "options": self.options.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            ConfigError: it is of no kind or options that there are now.
        """
        plain = {name: data[name] for name in ("device", "threads", "seed")}
        return cls(data["kind"], Metric(data["metric"]), **plain).with_options(**data["options"])

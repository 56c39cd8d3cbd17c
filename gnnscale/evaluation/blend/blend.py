"""What a blend is made of, and where a model keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from gnnscale.evaluation.comparison import NETWORK
from gnnscale.lake import Lake, read_record_text, record_text
from gnnscale.retrieval import Calibration
from gnnscale.schema import LakeError
from gnnscale.training import blend_path


@dataclass(frozen=True)
class Member:
    """A method that takes part.

    Args:
        name: of a baseline, or ``network``.
        weight: above 0; those of all members sum to 1.
        scale, shift: of its logits before they are summed, where answers are probabilities of one event.
    """

    name: str
    weight: float
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Blend:
    """Network and baselines as one method.

    Args:
        members: with a weight, the heaviest first.
        metric: that the weights were chosen by, on the validation examples.
        figures: method -> its mean of that metric there, ``blend`` among them; smaller is better of a loss alone.
        examples, entities: of the validation, that were looked at.
        transform: of scores of links: ``rank`` or ``z``; empty for other tasks.
        depth: candidates that each method gives an entity; 0 for other tasks than links.
        new_only: whether what an entity had before is left out.
        repeats: share of the events before validation that repeat an earlier one; None where it was not counted.
        left_out: baseline -> why it takes no part.
        calibration: from scores of lists to probabilities; None where it was not asked for.
    """

    members: tuple[Member, ...]
    metric: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    examples: int = 0
    entities: int = 0
    transform: str = ""
    depth: int = 0
    new_only: bool = False
    repeats: float | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None

    @classmethod
    def of(cls, names: Sequence[str], weights: Sequence[float], **own: Any) -> Self:
        """A blend of the methods that have a weight."""
        pairs = sorted(zip(names, weights, strict=True), key=lambda pair: -pair[1])
        return cls(tuple(Member(name, float(weight)) for name, weight in pairs if weight > 0), **own)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members, the heaviest first."""
        return tuple(member.name for member in self.members)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the members beside the network."""
        return tuple(name for name in self.names if name != NETWORK)

    @property
    def is_network(self) -> bool:
        """Whether the network is all of it."""
        return self.names == (NETWORK,)

    def in_words(self, title: Callable[[str], str] = str) -> str:
        """Its members and their shares, such as ``network 62 %, item_knn 38 %``.

        Args:
            title: how a method is called.
        """
        return ", ".join(f"{title(member.name)} {member.weight:.0%}".replace("%", " %") for member in self.members)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            TypeError, KeyError: the data are no blend's.
        """
        members = tuple(Member(**member) for member in data["members"])
        curve = data.get("calibration")
        return cls(**{**data, "members": members, "calibration": Calibration.from_dict(curve) if curve else None})


NETWORK_ALONE: Final = Blend((Member(NETWORK, 1.0),))
"""Of models that have no blend."""


def save_blend(lake: Lake, query: str, blend: Blend) -> None:
    """Keep a blend beside its model."""
    lake.write_bytes(blend_path(query), record_text(blend.to_dict()))


def read_blend(lake: Lake, query: str) -> Blend:
    """The blend of a query's model; the network alone where none was kept.

    Raises:
        LakeError: the file is damaged.
    """
    content = lake.read_bytes(blend_path(query))
    if content is None:
        return NETWORK_ALONE
    try:
        return Blend.from_dict(read_record_text(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LakeError(
            f"{lake.uri}/{blend_path(query)} is no blend ({type(error).__name__}: {error}); run the stage that "
            "predicts or retrieves again"
        ) from None

"""What makes no example because its answer, or when to ask for it, is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LeftOut:
    """Counts of those who were asked about.

    Args:
        columns: of the entity, whose values the target asks for.
        asked: their number, at all anchors together.
        unknown: those whose columns are missing, so that nobody knows what is true.
        undated: those without a time, where each is asked about at its own.
        late: those whose answers were not known yet when validation, or the test, begins.
    """

    columns: Sequence[str] = ()
    asked: int = 0
    unknown: int = 0
    undated: int = 0
    late: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return {**asdict(self), "columns": list(self.columns)}

    def in_words(self) -> str:
        """What is left out and why; empty where nothing is."""
        parts = []
        if self.unknown:
            parts.append(f"{self.unknown:,} of {self.asked:,} make no example: {' or '.join(self.columns)} is missing")
        if self.undated:
            parts.append(f"{self.undated:,} of {self.asked:,} make no example: they have no time to be asked at")
        if self.late:
            parts.append(
                f"{self.late:,} of {self.asked:,} are not learned from: their answers are not known, as "
                "query.known_after tells, when validation or the test begins"
            )
        return "; ".join(parts)

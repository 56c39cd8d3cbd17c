"""How far past an anchor its labels look."""

from __future__ import annotations

from dataclasses import dataclass

from gnnscale.query.window import Window, shift


@dataclass(frozen=True)
class Horizon:
    """The windows that labels are made of; none for a static query."""

    windows: tuple[Window, ...]

    def span(self, anchor: int) -> tuple[int, int]:
        """First (excluded) and last second that the labels of an anchor depend on, in epoch seconds."""
        if not self.windows:
            return anchor, anchor
        spans = [window.span(anchor) for window in self.windows]
        return min(start for start, _ in spans), max(end for _, end in spans)

    @property
    def reach(self) -> tuple[int, str]:
        """Amount and unit from the anchor to the end of the window that ends last."""
        last = max(self.windows, key=lambda window: shift(0, window.end, window.unit))
        return last.end, last.unit

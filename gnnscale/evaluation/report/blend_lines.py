"""What a blend is made of, as lines of a report."""

from __future__ import annotations

from gnnscale.evaluation.blend.blend import Blend
from gnnscale.evaluation.comparison import BLEND


def blend_lines(blend: Blend, mode: str) -> dict[str, str]:
    """Lines of the summary, name to text.

    Args:
        blend: of the model.
        mode: ``model.blend``.
    """
    lines = {
        "Blend": blend.in_words() + ("" if mode == "auto" else "; the answer is the network's, as model.blend=off")
    }
    if blend.figures:
        figures = sorted(blend.figures.items(), key=lambda item: item[0] != BLEND)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures)
        lines["Blend chosen by"] = (
            f"{blend.metric} on {blend.examples:,} validation examples of {blend.entities:,} entities: {shown}"
        )
    if blend.left_out:
        lines["Not in the blend"] = "; ".join(f"{name}: {why}" for name, why in blend.left_out.items())
    if blend.new_only and blend.repeats is not None:
        lines["Had before"] = f"left out of every list: {blend.repeats:.1%} of the events repeat an earlier one"
    return lines

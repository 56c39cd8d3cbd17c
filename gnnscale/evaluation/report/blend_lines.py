"""What a blend is made of, as lines of a report."""

from __future__ import annotations

from functools import partial

from gnnscale.evaluation.blend.blend import Blend
from gnnscale.evaluation.comparison import BLEND
from gnnscale.evaluation.method_words import method_title
from gnnscale.query import TaskSpec


def blend_lines(blend: Blend, mode: str, task: TaskSpec) -> dict[str, str]:
    """Lines of the summary, name to text.

    Args:
        blend: of the model.
        mode: ``model.blend``.
        task: that it answers.
    """
    title = partial(method_title, task=task)
    lines = {
        "Blend": blend.in_words(title) + ("" if mode == "auto" else "; the answer is the network's, as model.blend=off")
    }
    if blend.figures:
        figures = sorted(blend.figures.items(), key=lambda item: item[0] != BLEND)
        shown = ", ".join(f"{title(name)} {value:.3g}" for name, value in figures)
        lines["Blend chosen by"] = (
            f"{blend.metric} on {blend.examples:,} validation examples of {blend.entities:,} entities: {shown}"
        )
    if any((member.scale, member.shift) != (1.0, 0.0) for member in blend.members):
        lines["Probabilities"] = (
            "each member's are scaled so that they were right on validation as often as they say; of one member alone "
            "that leaves the order as it is, and moves what is counted from a probability of .5 on, such as F1"
        )
    if blend.left_out:
        lines["Not in the blend"] = "; ".join(f"{title(name)}: {why}" for name, why in blend.left_out.items())
    if blend.new_only and blend.repeats is not None:
        lines["Had before"] = f"left out of every list: {blend.repeats:.1%} of the events repeat an earlier one"
    return lines

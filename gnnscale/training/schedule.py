"""Learning-rate schedules: a linear rise over the warm-up, times what a sibling function says of a step."""

from __future__ import annotations

import math
from collections.abc import Callable

from gnnscale.config import TrainingSettings

USUAL = 2e-3
"""Peak of the learning rate."""
FLOOR = 0.01
"""Share of the peak that cosine and linear end at."""

Fall = Callable[[int, int, int], float]
"""Share of the peak, from the step (from 0), the steps of the whole training and those of the warm-up."""


def constant(step: int, steps: int, warmup: int) -> float:
    """The peak throughout."""
    return 1.0


def cosine(step: int, steps: int, warmup: int) -> float:
    """A half cosine from the peak down (Loshchilov and Hutter, 2017: equation 5 without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * _done(step, steps))) + FLOOR


def linear(step: int, steps: int, warmup: int) -> float:
    """A straight line from the peak down."""
    return 1 - _done(step, steps) + FLOOR


def stepwise(step: int, steps: int, warmup: int) -> float:
    """A tenth after half of the steps, and a hundredth after three quarters (He et al., 2016: section 4.2)."""
    done = _done(step, steps)
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def inverse_sqrt(step: int, steps: int, warmup: int) -> float:
    """One over the root of the step, from the end of the warm-up on (Vaswani et al., 2017: equation 3)."""
    peak = max(1, warmup)
    return math.sqrt(peak / max(step + 1, peak))


SCHEDULES: dict[str, Fall] = {
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
    "step": stepwise,
    "inverse_sqrt": inverse_sqrt,
}
"""By the names of ``training.schedule``."""


def learning_rate(settings: TrainingSettings, peak: float, step: int, steps: int) -> float:
    """The learning rate of a step.

    Args:
        settings: schedule and warm-up.
        peak: its highest.
        step: from 0.
        steps: of the whole training.
    """
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    return peak * rise * SCHEDULES[settings.schedule](step, steps, settings.warmup_steps)


def usual_rate(steps: int) -> float:
    """The peak of most networks, as :class:`gnnscale.training.task.Task` asks for it: it is the same for any steps."""
    return USUAL


def _done(step: int, steps: int) -> float:
    return min(1.0, step / max(1, steps))

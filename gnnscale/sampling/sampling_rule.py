"""What a sampler picks among the neighbors that a node has by its anchor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from gnnscale.sampling.paths import Path
from gnnscale.schema import ConfigError, nearest

Strategy = Literal["uniform", "last", "weighted"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Rule:
    """Which neighbors are candidates, and how some are picked where they are more than the fan-out.

    Args:
        strategy: ``uniform`` without replacement; ``last`` for the most recent; ``weighted`` without replacement, each
            draw in proportion to the weights of the edges that are left, and as ``uniform`` along edges that have no
            weight.
        cap: only the latest so many edges of a node are candidates, which keeps hot nodes to their present; None for
            all. At least the largest fan-out.

    Raises:
        ConfigError: an unknown strategy, or a cap under 1.
    """

    strategy: Strategy = "uniform"
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"unknown sampling strategy '{self.strategy}'.{nearest(self.strategy, STRATEGIES)}")
        if self.cap is not None and self.cap < 1:
            raise ConfigError(f"sampling cap is {self.cap}; at least 1")

    def check_fanouts(self, paths: Mapping[Path, int]) -> None:
        """Refuse a cap under a fan-out, which no node could fill.

        Args:
            paths: edge types from a seed -> fan-out of the last one, as :func:`plan_paths` gives them.

        Raises:
            ConfigError: the cap is less than the largest fan-out.
        """
        if self.cap is None or not paths:
            return
        path, fanout = max(paths.items(), key=lambda item: item[1])
        if self.cap < fanout:
            name = path[-1].name
            raise ConfigError(
                f"sampling cap is {self.cap}, less than the largest fan-out, {fanout} of hop {len(path)} along {name}; "
                "raise the cap or lower the fan-outs"
            )

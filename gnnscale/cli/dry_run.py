"""What a run would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gnnscale.pipeline import Pipeline


def say_dry_run(pipeline: Pipeline, names: Sequence[str] | None = None) -> int:
    """Print which stages would run and which would be skipped."""
    print(f"lake: {pipeline.context.lake.uri}")
    for stage in pipeline.plan(names):
        print(f"{stage.name:<9} {'would be skipped: nothing has changed' if stage.current else 'would run'}")
    return 0

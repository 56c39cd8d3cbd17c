"""Records of stages in a lake that was built without the pipeline."""

from __future__ import annotations

from rich.console import Console

from gnnscale.config import Settings
from gnnscale.lake import write_stage
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.label_stage import LabelStage
from gnnscale.pipeline.stages.stage import PipelineContext


def record_stages(settings: Settings) -> None:
    """Tell a lake that has graph and labels that their stages have made them."""
    context = PipelineContext(settings, Console(quiet=True))
    for kind in (GraphStage, LabelStage):
        stage = kind(context)
        upstream = stage.upstream(stage.after) if stage.after else ""
        write_stage(context.lake, stage.record_name, stage.digest(), 0.0, "done", stage.outputs(), upstream)

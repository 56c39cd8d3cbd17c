"""The evaluate stage of rankings, and that of values and classes."""

from __future__ import annotations

from typing import Any, ClassVar

from gnnscale.pipeline.stages.predict_stage import PredictStage
from gnnscale.pipeline.stages.retrieve_stage import RetrieveStage
from gnnscale.pipeline.stages.stage import Stage


class EvaluateStage(Stage):
    """Holdout against truth and baselines, to a report."""

    name = "evaluate"
    help = "evaluate the holdout predictions beside baselines, and write the report"
    after: ClassVar[type[Stage] | None] = RetrieveStage
    tracked = True

    def inputs(self) -> dict[str, Any]:
        """Predictions, and how they are judged."""
        assert self.after is not None
        return {
            "before": self.upstream(self.after),
            "evaluation": self.settings.evaluation.model_dump(),
            "tracking": self.settings.tracking.model_dump(),
            "tables": {name: table.display for name, table in self.settings.tables.items()},
        }

    def outputs(self) -> list[str]:
        """No table: a record, a report and MLflow's figures."""
        return []

    def make(self) -> str:
        """Evaluate and report."""
        from gnnscale.pipeline.stages.evaluate_and_report import evaluate_and_report

        return evaluate_and_report(self.settings, self.work.lake, self.work.query, self.work.plan, self.work.done)


class EvaluateAnswersStage(EvaluateStage):
    """The same of values or classes."""

    after = PredictStage

"""Which of two models of one query answers, by what each made of the same draws of the same holdout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gnnscale.evaluation.comparison import MODEL, Comparison, MethodResult, difference_of, verdict_of
from gnnscale.lake import Lake
from gnnscale.metrics import Floats, Metric
from gnnscale.schema import LakeError

Alias = Literal["champion", "challenger"]
"""Of a registered model's versions: the one that answers, and the latest that did not do better."""


@dataclass(frozen=True, eq=False)
class HoldoutResult:
    """How a model did on a holdout, kept with it so that the next one can be held against it.

    Args:
        holdout: what the examples were and how they were drawn from: two results of the same can be compared.
        metric: the task's headline.
        value: the model's.
        drawn: its value in each draw of entities, float64 ``[resamples]``; empty where the metric has none.
        level: of the interval.
        since: first anchor of the holdout, epoch seconds: what the model learned from ends there; None where no time
            tells.
    """

    holdout: str
    metric: Metric
    value: float
    drawn: Floats
    level: float
    since: int | None = None

    @classmethod
    def of(cls, comparison: Comparison, holdout: str, since: int | None = None) -> Self:
        """The model's result of a comparison.

        Args:
            comparison: of the model, see :meth:`gnnscale.evaluation.Holdout.judge`.
            holdout: see :func:`holdout_digest`.
            since: first anchor of the holdout.
        """
        metric, result = comparison.headline, comparison.result(MODEL)
        drawn = np.asarray(result.drawn.get(metric.name, ()), np.float64)
        words = f"{holdout} {metric.name} {comparison.seed} {comparison.resamples} {comparison.level}"
        return cls(words, metric, result.metrics[metric.name], drawn, comparison.level, since)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "holdout": self.holdout,
            "metric": vars(self.metric),
            "value": self.value,
            "drawn": self.drawn.tolist(),
            "level": self.level,
            "since": self.since,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """What :meth:`to_dict` gave."""
        drawn = np.asarray(content["drawn"], np.float64)
        metric = Metric(**content["metric"])
        return cls(content["holdout"], metric, content["value"], drawn, content["level"], content.get("since"))


@dataclass(frozen=True)
class Judgment:
    """What becomes of a new model.

    Args:
        alias: that it gets.
        reason: in one line.
    """

    alias: Alias
    reason: str


def judge(new: HoldoutResult, champion: HoldoutResult | None) -> Judgment:
    """Let a new model take the champion's place where it is clearly better on the same holdout.

    Args:
        new: result of the new model.
        champion: of the one that answers now; None where there is none, or it is not known how it did.
    """
    if champion is None:
        return Judgment("champion", "there is no champion that it could be held against")
    if new.holdout != champion.holdout:
        return Judgment("challenger", "the champion was evaluated on another holdout: evaluate it on this one first")
    name = new.metric.name
    difference = difference_of(_result(new), _result(champion), name, new.level)
    verdict = verdict_of(difference, new.metric)
    interval = f"{difference.mean:+.4g} [{difference.interval.low:+.4g}, {difference.interval.high:+.4g}]"
    said = f"{new.metric.title} {new.value:.4g}, the champion's {champion.value:.4g}: {interval}"
    if verdict == "beats":
        return Judgment("champion", f"{said}, which is clearly better")
    return Judgment("challenger", f"{said}, which is not clearly better")


def holdout_digest(lake: Lake, query: str) -> str:
    """What the test examples of a query are, as a fingerprint: who, when, and what came true.

    Args:
        lake: holds ``labels_<query>``.
        query: its name.

    Raises:
        LakeError: there are no labels.
    """
    rows = lake.read(f"labels_{query}")
    if "split" not in rows.column_names:
        raise LakeError(f"labels_{query} of lake {lake.uri} say of no example what it is for")
    rows = rows.filter(pc.equal(rows["split"], "test"))
    names = [name for name in ("entity", "anchor_time", "part") if name in rows.column_names]
    rows = rows.sort_by([(name, "ascending") for name in names]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema.remove_metadata()) as writer:
        writer.write_table(rows.replace_schema_metadata(None))
    return hashlib.blake2b(sink.getvalue(), digest_size=12).hexdigest()


def _result(result: HoldoutResult) -> MethodResult:
    name = result.metric.name
    drawn = {name: result.drawn} if result.drawn.size else {}
    return MethodResult(MODEL, "all", 0, {name: result.value}, drawn, {}, {})

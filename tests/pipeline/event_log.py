"""What Spark's event log says of an application: its stages, their tasks, and executors that were lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def event_log_conf(folder: Path) -> dict[str, str]:
    """Configuration under which an application writes one plain file of JSON lines into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Events so far of the one application that writes there; a line that is not whole yet is left out."""
    events = []
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return events


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of one kind, such as ``StageCompleted``."""
    return [event for event in events if event["Event"] == f"SparkListener{kind}"]


@dataclass
class StageTasks:
    """Tasks of a stage that ended well.

    Args:
        description: of the job that ran it.
        run: milliseconds that each task ran, by the task's number.
        read: bytes of shuffles that each has read.
    """

    description: str
    run: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)

    def heavy(self) -> StageTasks:
        """Its tasks that sort or sample: they read a shuffle, while those beside them only hand on what was kept."""
        own = [number for number, read in self.read.items() if read > 10_000]
        return StageTasks(self.description, {i: self.run[i] for i in own}, {i: self.read[i] for i in own})


def stage_tasks(events: list[dict[str, Any]]) -> list[StageTasks]:
    """All stages, in the order they were submitted."""
    stages = {}
    for event in of_kind(events, "StageSubmitted"):
        description = event.get("Properties", {}).get("spark.job.description", "")
        stages[event["Stage Info"]["Stage ID"]] = StageTasks(description)
    for event in of_kind(events, "TaskEnd"):
        if event["Task End Reason"]["Reason"] == "Success":
            metrics = event["Task Metrics"]
            shuffle = metrics["Shuffle Read Metrics"]
            number, stage = event["Task Info"]["Index"], stages[event["Stage ID"]]
            stage.run[number] = metrics["Executor Run Time"]
            stage.read[number] = shuffle["Remote Bytes Read"] + shuffle["Local Bytes Read"]
    return list(stages.values())

"""What each stage did last, so that a stage whose inputs have not changed is skipped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gnnscale.lake.lake import Lake


@dataclass(frozen=True)
class StageRecord:
    """The last complete run of a stage.

    Args:
        fingerprint: of its inputs and configuration.
        seconds: how long it took.
        detail: what it did, in a few words.
        upstream: fingerprint of the stage before it, as it was then.
    """

    fingerprint: str
    seconds: float
    detail: str
    upstream: str = ""


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """A digest of JSON-serialisable data; the order of keys does not count."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_stage(lake: Lake, stage: str) -> StageRecord | None:
    """The stage's last complete run, or None."""
    record = lake.read_record(f"stage_{stage}")
    return StageRecord(**record) if record else None


def is_current(lake: Lake, stage: str, digest: str, outputs: Sequence[str]) -> bool:
    """Whether the stage ran with this fingerprint and its tables are still there."""
    record = read_stage(lake, stage)
    return record is not None and record.fingerprint == digest and all(lake.exists(name) for name in outputs)


def clear_stage(lake: Lake, stage: str) -> None:
    """Forget the stage's last run, because its tables are about to change."""
    lake.write_record(f"stage_{stage}", {})


def write_stage(lake: Lake, stage: str, digest: str, started: float, detail: str, upstream: str = "") -> StageRecord:
    """Record that the stage is complete.

    Args:
        started: ``time.monotonic()`` at its start.
    """
    record = StageRecord(digest, round(time.monotonic() - started, 2), detail, upstream)
    lake.write_record(f"stage_{stage}", asdict(record))
    return record

"""What each stage did last, so that a stage whose inputs have not changed is skipped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
        versions: of the tables it wrote; another version means that another run has written since.
    """

    fingerprint: str
    seconds: float
    detail: str
    upstream: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)

    def holds(self, lake: Lake) -> bool:
        """Whether the lake's tables are still those that this run wrote."""
        return all(lake.exists(name) and lake.version(name) == version for name, version in self.versions.items())


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """A digest of JSON-serialisable data; the order of keys does not count."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_stage(lake: Lake, stage: str) -> StageRecord | None:
    """The stage's last complete run, or None."""
    record = lake.read_record(f"stage_{stage}")
    return StageRecord(**record) if record else None


def is_current(lake: Lake, stage: str, digest: str, outputs: Sequence[str]) -> bool:
    """Whether the stage ran with this fingerprint and its tables are still those that it wrote."""
    record = read_stage(lake, stage)
    return (
        record is not None
        and record.fingerprint == digest
        and record.versions.keys() >= set(outputs)
        and record.holds(lake)
    )


def write_stage(
    lake: Lake, stage: str, digest: str, started: float, detail: str, outputs: Sequence[str] = (), upstream: str = ""
) -> StageRecord:
    """Record that the stage is complete.

    Args:
        started: ``time.monotonic()`` at its start.
        outputs: tables that it wrote.
        upstream: fingerprint of the stage before it.
    """
    versions = {name: lake.version(name) for name in outputs}
    record = StageRecord(digest, round(time.monotonic() - started, 2), detail, upstream, versions)
    lake.write_record(f"stage_{stage}", asdict(record))
    return record

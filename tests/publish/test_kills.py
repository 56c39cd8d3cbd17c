"""A few kills at random moments; ``python -m tests.publish.kills`` has many, and those of Redis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.refresh_lake import make_lake
from tests.publish import kills


@pytest.mark.slow
def test_days_that_are_killed_are_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "LAST", kills.FIRST + 3)
    make_lake(tmp_path, kills.SHOPPERS, 0.01)
    days = kills.unbroken_days(tmp_path)
    assert all(not np.array_equal(days[day], days[day + 1]) for day in list(days)[:-1])
    found = kills.kill_days(tmp_path, str(tmp_path / "store.sqlite"), "killed", days, 2)
    assert found.polls > 0 and found.seen == sorted(found.seen)
    assert found.kills == 2 or found.days == 3

"""Two MLflow runs side by side as a frame, for notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def list_runs(lake: str | Path | None = None, *, tracking: str | None = None, most: int = 20) -> pd.DataFrame:
    """MLflow runs, the newest first.

    Args:
        lake: folder whose runs are meant.
        tracking: URI of the MLflow store, where that is not in the lake.
        most: how many.

    Returns:
        Columns run, name, status and started (UTC).

    Raises:
        GnnscaleError: nothing was ever tracked there.
    """
    import pandas as pd

    from gnnscale import tracking as stores

    runs = stores.list_runs(stores.run_store(lake, tracking), most)
    rows = [(run.info.run_id, run.info.run_name, run.info.status, run.info.start_time) for run in runs]
    found = pd.DataFrame(rows, columns=["run", "name", "status", "started"])
    return found.assign(started=pd.to_datetime(found["started"], unit="ms"))


def compare_runs(
    first: str,
    second: str,
    lake: str | Path | None = None,
    *,
    tracking: str | None = None,
    everything: bool = False,
) -> pd.DataFrame:
    """Two MLflow runs side by side.

    Args:
        first, second: ids of runs, or their first six characters or more.
        lake: folder whose runs are meant.
        tracking: URI of the MLflow store, where that is not in the lake.
        everything: also settings that are the same, and metrics that one of the runs has alone.

    Returns:
        Columns kind (``run``, ``setting``, ``table`` or ``metric``), name, first, second and difference: settings and
        versions of tables that differ, and the metrics that both have.

    Raises:
        GnnscaleError: there is no such run.
    """
    import pandas as pd

    from gnnscale import tracking as stores

    rows = stores.compare_runs(stores.run_store(lake, tracking), first, second, everything)
    content = [(row.kind, row.name, row.first, row.second, row.difference) for row in rows]
    return pd.DataFrame(content, columns=["kind", "name", "first", "second", "difference"])

"""MLflow's SQLite file in a lake: whole or not there, and with artifacts where the lake is now."""

from __future__ import annotations

import logging
import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Final

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from gnnscale.arrays import locked

log = logging.getLogger(__name__)

DATABASE: Final = "mlflow.db"
ARTIFACTS: Final = "mlartifacts"
"""Folder of a lake that keeps the files of its runs."""

PLACES: Final = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Tables of MLflow's and their columns that name folders of artifacts."""


def open_lake_store(folder: Path) -> str:
    """The store of a local lake, made where there is none.

    It is made under another name and then moved: who is killed meanwhile leaves nothing half made, and who comes
    meanwhile waits. MLflow keeps full paths of the artifacts; those of a lake that was moved or copied are changed.

    Args:
        folder: of the lake.

    Returns:
        The URI of the store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / DATABASE
    with locked(database):
        if database.exists() and not _is_whole(database):
            kept = _set_aside(database)
            log.warning("%s was left half made, and is %s now; a new one is made", database, kept.name)
        if not database.exists():
            _make(database, folder / ARTIFACTS)
        _move_artifacts(database, folder / ARTIFACTS)
    return f"sqlite:///{database}"


def _make(database: Path, artifacts: Path) -> None:
    for left in database.parent.glob(f".{database.name}.*.partial*"):
        left.unlink()
    # Of a name that it has once: MLflow keeps the engine of every store that it has opened.
    partial = database.with_name(f".{database.name}.{uuid.uuid4().hex}.partial")
    store = SqlAlchemyStore(f"sqlite:///{partial}", artifacts.as_uri())
    store._dispose_engine()
    SqlAlchemyStore._engine_map.pop(f"sqlite:///{partial}", None)
    os.replace(partial, database)


def _is_whole(database: Path) -> bool:
    """Whether MLflow has finished making it: the first experiment comes last."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM experiments").fetchone() != (0,)
        except sqlite3.OperationalError:
            return False


def _set_aside(database: Path) -> Path:
    number = 1
    while (kept := database.with_name(f"mlflow-broken-{number}.db")).exists():
        number += 1
    os.replace(database, kept)
    return kept


def _move_artifacts(database: Path, artifacts: Path) -> None:
    """Have everything that names the folder of artifacts name the one that is there now, in one transaction."""
    now = artifacts.as_uri()
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = (place for (place,) in connection.execute("SELECT artifact_location FROM experiments"))
        # As a file's URI, or as a path where another program has made the experiment.
        before = {place[: place.rindex(f"/{ARTIFACTS}") + len(ARTIFACTS) + 1] for place in found if _is_ours(place)}
        moved = before - {now}
        if not moved:
            return
        connection.execute("BEGIN IMMEDIATE")
        for table, columns in PLACES.items():
            for column in columns if table in known else ():
                for old in moved:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (now, len(old) + 1, old, len(old) + 1, f"{old}/"),
                    )
        connection.execute("COMMIT")
    log.info("the lake was moved or copied; the files of its runs are taken from %s", artifacts)


def _is_ours(place: str | None) -> bool:
    """Whether a place of an experiment is in the folder of artifacts of some lake."""
    return place is not None and f"{place}/".startswith(("file:/", "/")) and f"/{ARTIFACTS}/" in f"{place}/"

"""Which files and folders of a lake are tables of its owner, and which gnnscale has written itself."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from gnnscale.lake import RECORDS, Lake, SourceFormat, find_source, name_format, open_delta, take_snapshot, tell_once
from gnnscale.schema import GnnscaleError

EXAMPLES: Final = frozenset({"entity", "anchor_time"})

MADE: Final = {
    "ids_": frozenset({"key", "node_id"}),
    "nodes_": frozenset({"node_id", "time"}),
    "edges_": frozenset({"source", "target", "time"}),
    "labels_": EXAMPLES,
    "features_": EXAMPLES | {"split"},
    "past_": frozenset({"entity", "past"}),
    "population_": frozenset({"entity"}),
    "predictions_": EXAMPLES,
    "holdout_": EXAMPLES,
    "methods_": EXAMPLES | {"method", "scores"},
    "embeddings_": frozenset({"node_id", "vector"}),
    "refreshed_": frozenset({"node_id", "vector"}),
    "pairs_": EXAMPLES,
    "shards_": EXAMPLES,
}
"""Prefixes of the tables that gnnscale writes itself, and columns that these have."""

_PREFERRED: Final = tuple(SourceFormat)


def lake_sources(lake: Lake) -> dict[str, str]:
    """Tables of a lake that gnnscale has not written: Delta tables, and files and folders of Parquet, CSV and JSON.

    Args:
        lake: where they lie.

    Returns:
        Name -> where the rows are. What is left out is told.
    """
    if not lake.local:
        return {name: lake.table_uri(name) for name in lake.tables() if not _is_made(lake, name)}
    if not Path(lake.uri).is_dir():
        return {}
    found: dict[str, list[tuple[int, str]]] = {}
    for path in sorted(Path(lake.uri).iterdir()):
        if path.name.startswith(("_", ".")) or (path.is_dir() and _is_made(lake, path.name)):
            continue
        form = _format(path)
        if form is None:
            continue
        name = re.sub(r"\W", "_", path.name if path.is_dir() and not name_format(path.name) else _stem(path.name))
        found.setdefault(name, []).append((_PREFERRED.index(form), str(path)))
    sources = {}
    for name, places in found.items():
        (_, sources[name]), *others = sorted(places)
        for _, other in others:
            tell_once(f"{other} is left out: table '{name}' is taken from {sources[name]}")
    return dict(sorted(sources.items()))


def _format(path: Path) -> SourceFormat | None:
    if path.is_file():
        return name_format(path.name)
    if not path.is_dir():
        return None
    if (path / "_delta_log").is_dir():
        return SourceFormat.DELTA
    if (path / RECORDS).is_dir():
        # A lake of its own, as of interactions that were asked about where the tables lie.
        return None
    if not any(part.is_file() for part in path.rglob("*")):
        tell_once(f"{path} is left out: it has no files")
        return None
    try:
        found = find_source(path.name, str(path))
    except GnnscaleError as error:
        tell_once(f"{error}; it is left out")
        return None
    return found.format if take_snapshot(found).files else None


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _is_made(lake: Lake, name: str) -> bool:
    wanted = next((columns for prefix, columns in MADE.items() if name.startswith(prefix)), None)
    if wanted is None:
        return False
    if lake.exists(name):
        columns = {field.name for field in open_delta(lake.table_uri(name), lake.storage_options).schema().fields}
    else:
        unfinished = _unfinished_columns(Path(lake.table_uri(name))) if lake.local else None
        if unfinished is None:
            return False
        if not unfinished:
            place = lake.table_uri(name)
            tell_once(f"{place} is left out: it is called like a table of gnnscale and has no whole file")
            return True
        columns = unfinished
    return columns == wanted if name.startswith("population_") else columns >= wanted


def _unfinished_columns(folder: Path) -> set[str] | None:
    """Columns of the Parquet files in a folder that no log is there of, as a killed run leaves it; none where no file
    is whole. None where there are other files, or none at all."""
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(("_", "."))]
    if not files or any(path.suffix != ".parquet" or not path.is_file() for path in files):
        return None
    for path in files:
        with suppress(pa.ArrowException, OSError):
            return set(pq.read_schema(path).names)
    return set()

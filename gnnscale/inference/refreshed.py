"""``refreshed_<query>``: the latest vector of every entity, and what its commits say of the runs that wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
from deltalake.exceptions import CommitFailedError
from numpy.typing import NDArray

from gnnscale.inference.embedding_rows import TIMESTAMP
from gnnscale.lake import Lake, PartFiles, WrittenFile, open_folder, open_parquet, read_groups, table_files
from gnnscale.schema import LakeError

KIND: Final = "refresh"
"""What the names of the runs' files begin with; see :class:`gnnscale.lake.PartFiles`."""

TABLE: Final = "refreshed_{query}"

NUMBERS: Final = ("vector", "scores")
"""Columns whose values hardly repeat."""

STATE: Final = "refresh_state"
"""What a commit calls the state that it leaves the table in."""

_CUT: Final = re.compile(r".*-(\d{10})-(\d{10})\.parquet")


@dataclass(frozen=True)
class RefreshState:
    """What a run has left.

    Args:
        as_of: anchor that it embedded at, epoch seconds.
        run: its number, from 1 for the one that embedded all.
        basis: fingerprint of that one.
        model: see :func:`gnnscale.inference.batch_inference.model_key`.
        weights: digest of the model's file.
        encoding: digest of how the graph's columns are encoded.
        partition_rows: entities of a file.
        encoded: rows that it embedded.
    """

    as_of: int
    run: int
    basis: str
    model: str
    weights: str
    encoding: str
    partition_rows: int
    encoded: int


@dataclass(frozen=True)
class Refreshed(RefreshState):
    """The state of a table, and where it is.

    Args:
        table: its name.
        version: that the last run committed.
        latest: version that was read; others may have cleaned up since the run.
    """

    table: str
    version: int
    latest: int


def read_refreshed(lake: Lake, query: str) -> Refreshed | None:
    """What the last run of a query's refresh has left; None where there was none."""
    table = TABLE.format(query=query)
    if not lake.exists(table):
        return None
    for entry in lake.history(table):
        if STATE in entry:
            state = json.loads(entry[STATE])
            return Refreshed(**state, table=table, version=int(entry["version"]), latest=lake.version(table))
    return None


def new_rows(encoded: Mapping[str, pa.Table], keys: pa.Array, events: NDArray[np.int64], run: int) -> pa.Table:
    """Entities that a run has embedded, as rows of the table.

    Args:
        encoded: ``vectors`` and ``pairs``, rows as those of ``embeddings_<table>`` and ``pairs_<query>``.
        keys: of all entities, in order of node id.
        events: known of each entity.
        run: its number.
    """
    vectors, pairs = encoded["vectors"], encoded["pairs"]
    nodes = vectors["node_id"].to_numpy()
    columns = {
        "node_id": vectors["node_id"],
        "entity": keys.take(pa.array(nodes)),
        "anchor_time": vectors["anchor_time"],
        "events": pa.array(events[nodes]),
        "run": pa.array(np.full(len(nodes), run)),
        "vector": vectors["vector"],
        "targets": pairs["targets"],
        "scores": pairs["scores"],
    }
    return pa.table(columns)


def merged_rows(lake: Lake, table: str, file: str, new: pa.Table, stop: int) -> pa.Table:
    """Rows of a file with new ones in the place of those of the same entities, or behind them, in order of node id.

    Args:
        lake: where the table is.
        table: its name.
        file: of consecutive entities, in order.
        new: of the same columns; every entity that the file lacks is one of them.
        stop: node id after the last.
    """
    old = _read(lake, table, file)
    start = int(old["node_id"][0].as_py())
    places = np.arange(stop - start)
    places[new["node_id"].to_numpy() - start] = old.num_rows + np.arange(new.num_rows)
    rows = pa.concat_tables([old, new.select(old.column_names).cast(old.schema)]).combine_chunks()
    return rows.take(pa.array(places)).combine_chunks()


def refreshed_schema(key_type: pa.DataType) -> pa.Schema:
    """Columns of the table, as Delta has them."""
    whole = pa.int64()
    return pa.schema(
        [
            ("node_id", whole),
            ("entity", key_type),
            ("anchor_time", TIMESTAMP),
            ("events", whole),
            ("run", whole),
            ("vector", pa.list_(pa.float32())),
            ("targets", pa.list_(whole)),
            ("scores", pa.list_(pa.float32())),
        ]
    )


def files_by_start(lake: Lake, last: Refreshed) -> dict[int, str] | None:
    """First node id -> file, of a table that runs alone have written; None where others have cut its files anew."""
    found = {}
    for path in table_files(lake.open(last.table, last.latest)):
        match = _CUT.fullmatch(path)
        if match is None:
            return None
        found[int(match[1])] = path
    return found


def read_columns(lake: Lake, table: str, file: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a file, in order of node id."""
    return _read(lake, table, file, columns)


def commit_rows(
    parts: PartFiles,
    schema: pa.Schema,
    files: Mapping[str, int],
    state: RefreshState,
    last: Refreshed | None,
    replaced: Sequence[str] = (),
) -> int:
    """Make the files of a run part of the table, in one transaction.

    Args:
        parts: of the run.
        schema: of the table.
        files: name -> bytes of each file that it wrote.
        state: that the table is left in.
        last: run that it builds on; None where its files are the whole table.
        replaced: files of that one that make room for them.

    Returns:
        The version committed.

    Raises:
        LakeError: another run has committed meanwhile.
    """
    written = []
    for name, size in files.items():
        match = _CUT.fullmatch(name)
        assert match is not None
        first, stop = int(match[1]), int(match[2])
        # A column without bounds in the log has none that meets a condition, as delta-rs reads it.
        runs = _read(parts.lake, parts.table, name, ["run"])["run"]
        least = {"node_id": first, "run": pc.min(runs).as_py()}
        most = {"node_id": stop - 1, "run": pc.max(runs).as_py()}
        written.append(WrittenFile(name, size, stop - first, least, most))
    stamp = {STATE: json.dumps(asdict(state))}
    if last is None:
        return parts.commit(schema, written, stamp)
    try:
        return parts.replace(schema, written, replaced, last.latest, stamp)
    except CommitFailedError as error:
        raise LakeError(f"another run has refreshed {parts.table} meanwhile; run it again ({error})") from None


def file_cut(prefix: str, start: int, stop: int) -> str:
    """Name of the file of node ids from ``start`` up to, not including, ``stop``."""
    return f"{prefix}{start:010d}-{stop:010d}.parquet"


def run_file(prefix: str) -> str:
    """Name of the file, beside those of the table, of the rows that a run has embedded."""
    return f"{prefix}embedded.parquet"


def rows_after(lake: Lake, last: Refreshed, query: str, run: int, columns: Sequence[str]) -> pa.Table | None:
    """Rows of entities that later runs than one have embedded, each as the latest of them has it, in order of node id.

    Args:
        lake: where the table is.
        last: state of the table.
        query: name of its query.
        run: number of the one.
        columns: that are wanted.

    Returns:
        None where they are only to be found among all rows of the table: where a run embedded more entities than a file
        holds, or files beside the table's have been cleaned up or are damaged.
    """
    filesystem, root = open_folder(lake.table_uri(last.table), lake.storage_options)
    found, wanted = [], set(range(run + 1, last.run + 1))
    for entry in lake.history(last.table):
        if STATE not in entry or not wanted:
            continue
        state = RefreshState(**json.loads(entry[STATE]))
        if state.basis != last.basis or state.run not in wanted or int(entry["version"]) > last.version:
            continue
        wanted.remove(state.run)
        if not state.encoded:
            continue
        path = root + run_file(PartFiles(lake, last.table, KIND, query, str(entry[KIND])).prefix)
        if filesystem.get_file_info(path).type != pyarrow.fs.FileType.File:
            return None
        try:
            with open_parquet(filesystem, path) as source:
                found.append(read_groups(source, ["node_id", *columns]))
        except LakeError:
            return None
        if sum(rows.num_rows for rows in found) > last.partition_rows:
            return None
    if wanted:
        return None
    if not found:
        return pa.table({name: [] for name in columns})
    # The latest run comes first.
    rows = pa.concat_tables(found)
    _, first = np.unique(rows["node_id"].to_numpy(), return_index=True)
    return rows.take(pa.array(first)).select(list(columns))


def show_time(seconds: int) -> str:
    """Epoch seconds as a person reads them, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _read(lake: Lake, table: str, file: str, columns: Sequence[str] | None = None) -> pa.Table:
    filesystem, root = open_folder(lake.table_uri(table), lake.storage_options)
    with open_parquet(filesystem, root + file) as source:
        return read_groups(source, columns)

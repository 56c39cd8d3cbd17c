"""A person's own labelled examples in place of those that a query makes: keys to node ids, times to splits."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gnnscale.arrays import as_keys
from gnnscale.config import Settings, anchor_fault, bind_query, plan_query_anchors
from gnnscale.etl.labels.label_checks import LARGEST, warn_of_little
from gnnscale.etl.labels.label_stage import MAX_CLASSES, TASK
from gnnscale.lake import Lake, find_source, read_rows
from gnnscale.query import AnchorPlan, PredictiveQuery, Split, show_time
from gnnscale.schema import EPOCH_UNITS, DataError, GraphManifest, SchemaError, epoch_unit, nearest

log = logging.getLogger(__name__)

TARGET_TYPES: Final[dict[str, pa.DataType]] = {
    "truth": pa.float64(),
    "value": pa.float64(),
    "values": pa.list_(pa.float64()),
    "class": pa.string(),
    "classes": pa.list_(pa.string()),
}
"""Of column ``target``, by what an entity is given."""


def write_examples(lake: Lake, settings: Settings, manifest: GraphManifest) -> dict[str, int]:
    """Write ``labels_<query>`` and record ``task_<query>`` from the table that ``query.examples`` names.

    Its columns are the entity's key (under its own name, or as ``entity``), ``anchor_time`` (times, ISO text or epoch
    seconds), ``target`` (``targets``, lists of keys, for rankings), and perhaps ``split``. Without ``split``, the last
    anchor tests, the one before it validates, and the others train. Examples whose entity or targets the graph does
    not have are left out, and their number is logged.

    Args:
        lake: holds the graph's ids.
        settings: sections ``query`` and ``anchors`` count.
        manifest: of the graph.

    Returns:
        Split -> number of examples.

    Raises:
        LakeError: there is no such table.
        DataError: a column is missing or of another type, an example is there twice, a split has none, or rankings are
            tested at another time than ``anchors.test``.
    """
    query = bind_query(settings, manifest)
    options = settings.lake.storage_options
    given = read_rows(find_source("examples", settings.query.examples or "", options), options)
    rows = _known(lake, query, _columns(given, query))
    if "split" not in rows.column_names:
        rows = rows.append_column("split", _splits_by_time(rows["anchor_time"]))
    rows = rows.sort_by([("anchor_time", "ascending"), ("entity", "ascending")])
    for anchor in rows["anchor_time"].to_pylist()[:: max(1, rows.num_rows - 1)]:
        if fault := anchor_fault(anchor, manifest.time_ranges):
            raise DataError(f"examples: an anchor_time {fault}")
    if rows.group_by(["anchor_time", "entity"]).aggregate([]).num_rows < rows.num_rows:
        raise DataError("examples: an entity stands twice at one anchor_time")
    counts = Counter(rows["split"].to_pylist())
    for split in Split:
        if not counts[str(split)]:
            raise DataError(f"examples: none are for the {split} split")
    if query.task_type.predicts_links:
        _check_test_anchors(rows, plan_query_anchors(settings, query, manifest.time_ranges, manifest.rows))
    lake.write(f"labels_{settings.query.name}", rows, metadata={"query": settings.query.name})
    record = {
        "task": str(query.task_type),
        "classes": _classes(rows, query),
        "frames": query.frames,
        "splits": {str(split): {"examples": counts[str(split)], **_figures(rows, query, split)} for split in Split},
    }
    lake.write_record(TASK.format(query=settings.query.name), record)
    warn_of_little(record)
    return {str(split): counts[str(split)] for split in Split}


def holdout_anchors(lake: Lake, location: str) -> tuple[datetime, ...]:
    """The anchors that a table of examples tests at, ascending: those of its split, or else the last one.

    Args:
        lake: whose storage options open the table.
        location: of the table.
    """
    rows = read_rows(find_source("examples", location, lake.storage_options), lake.storage_options)
    split = "split" in rows.column_names
    if split:
        rows = rows.filter(pc.equal(rows["split"], str(Split.TEST)))
    if "anchor_time" not in rows.column_names or not rows.num_rows:
        return ()
    times = sorted(_seconds(rows["anchor_time"]).unique().drop_null().to_pylist())
    return tuple(datetime.fromtimestamp(time, UTC) for time in (times if split else times[-1:]))


def _columns(given: pa.Table, query: PredictiveQuery) -> pa.Table:
    """Key, ``anchor_time`` (epoch seconds), answer and perhaps ``split``, in the types of the label stage."""
    key, names = query.entity.primary_key or "", given.column_names
    linked = query.task_type.predicts_links
    entity = key if key in names else "entity"
    answer = "targets" if linked else "target"
    for column in (entity, "anchor_time", answer):
        if column not in names:
            wanted = f"{key} or entity" if column == "entity" else column
            raise DataError(f"examples: there is no column {wanted}.{nearest(column, names)}")
    columns = {"key": given[entity], "anchor_time": _seconds(given["anchor_time"])}
    columns[answer] = given[answer] if linked else _cast(given[answer], TARGET_TYPES[query.task_type.answer], answer)
    if linked and not _is_list(given[answer].type):
        raise DataError(f"examples: column targets is {given[answer].type}, and holds lists of keys")
    if "split" in names:
        columns["split"] = _cast(given["split"], pa.string(), "split")
        known = [str(split) for split in Split]
        if unknown := set(columns["split"].unique().to_pylist()) - set(known):
            raise DataError(f"examples: split is {sorted(map(str, unknown))[0]!r}; allowed are {', '.join(known)}")
    for name in ("key", "anchor_time", answer):
        if columns[name].null_count:
            raise DataError(f"examples: {columns[name].null_count:,} rows have no {entity if name == 'key' else name}")
    if query.task_type.predicts_values:
        _check_sizes(columns[answer])
    if query.frames > 1 and set(pc.list_value_length(columns[answer]).unique().to_pylist()) - {query.frames}:
        raise DataError(f"examples: each target has {query.frames} values, one a timeframe")
    return pa.table(columns)


def _check_sizes(targets: pa.ChunkedArray) -> None:
    values = pc.list_flatten(targets) if _is_list(targets.type) else targets
    found = values.drop_null().to_numpy()
    faulty = found[~(np.abs(found) <= LARGEST)]
    if len(faulty):
        raise DataError(f"examples: {len(faulty):,} targets are no numbers up to {LARGEST:g}, such as {faulty[0]:g}")


def _known(lake: Lake, query: PredictiveQuery, rows: pa.Table) -> pa.Table:
    """The rows whose keys the graph has, with node ids in their place."""
    entities = _nodes(lake, query.entity.name, rows["key"])
    left_out = rows.num_rows - int(pc.sum(entities.is_valid()).as_py() or 0)
    if left_out:
        log.warning(
            "examples: %s of %s rows name no %s of '%s', and are left out",
            *(f"{left_out:,}", f"{rows.num_rows:,}", query.entity.primary_key, query.entity.name),
        )
    rows = rows.drop_columns("key").add_column(0, "entity", entities).filter(entities.is_valid())
    if not query.task_type.predicts_links:
        return rows.append_column("past", pa.nulls(rows.num_rows, rows.schema.field("target").type))
    lists = rows["targets"].combine_chunks()
    lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    nodes = _nodes(lake, query.target.name, lists.flatten())
    known = nodes.is_valid().to_numpy(zero_copy_only=False)
    if not known.all():
        log.warning(
            "examples: %s of %s targets are no %s of '%s', and are left out",
            *(f"{(~known).sum():,}", f"{len(known):,}", query.target.primary_key, query.target.name),
        )
    pairs = np.unique(np.stack([parents[known], nodes.drop_null().to_numpy()]), axis=1)  # [2, targets], in order
    counts = np.bincount(pairs[0], minlength=rows.num_rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    targets = pa.ListArray.from_arrays(pa.array(offsets), pa.array(pairs[1]))
    at = rows.column_names.index("targets")
    return rows.set_column(at, "targets", targets).filter(pa.array(counts > 0))


def _nodes(lake: Lake, table: str, keys: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Node ids of keys, null where the graph has none."""
    ids = lake.read(f"ids_{table}")
    wanted = ids["key"].type
    same = as_keys(keys, wanted)
    if same is None:
        raise DataError(f"examples: keys of '{table}' are {keys.type}, and the graph has them as {wanted}")
    # No key of a table is null, so that what none of its keys can be is not found.
    positions = pc.index_in(same, value_set=ids["key"])
    found = ids["node_id"].cast(pa.int64()).take(positions)
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _splits_by_time(anchors: pa.ChunkedArray) -> pa.Array:
    times = anchors.to_numpy()
    distinct = np.unique(times)
    if len(distinct) < 3:
        raise DataError(
            f"examples: {len(distinct)} anchor times are too few to train, validate and test; give at least 3, or a "
            "column split"
        )
    splits = np.full(len(times), str(Split.TRAIN), dtype=object)
    splits[times == distinct[-2]] = str(Split.VALIDATION)
    splits[times == distinct[-1]] = str(Split.TEST)
    return pa.array(splits, pa.string())


def _check_test_anchors(rows: pa.Table, plan: AnchorPlan) -> None:
    tested = sorted(rows.filter(pc.equal(rows["split"], str(Split.TEST)))["anchor_time"].unique().to_pylist())
    if tuple(tested) != plan.tests:
        shown, wanted = (", ".join(map(show_time, times[:3])) for times in (tested, plan.tests))
        raise DataError(
            f"examples: rankings are tested at anchors.test, which is {wanted}; the test examples are of {shown}"
        )


def _classes(rows: pa.Table, query: PredictiveQuery) -> list[str]:
    """Classes of the training split, the most frequent first."""
    if not query.task_type.predicts_classes:
        return []
    values = rows.filter(pc.equal(rows["split"], str(Split.TRAIN)))["target"]
    if _is_list(values.type):
        values = pc.list_flatten(values)
    counted = Counter(values.drop_null().to_pylist())
    return sorted(counted, key=lambda name: (-counted[name], name))[:MAX_CLASSES]


def _figures(rows: pa.Table, query: PredictiveQuery, split: Split) -> dict[str, Any]:
    """Of one split, under the names that the label stage uses."""
    rows = rows.filter(pc.equal(rows["split"], str(split)))
    answers = rows["targets" if query.task_type.predicts_links else "target"]
    if query.task_type.answer == "truth":
        return {"rate": float(answers.to_numpy().mean())}
    if query.task_type.predicts_values:
        values = answers.to_numpy() if not _is_list(answers.type) else pc.list_element(answers, 0).to_numpy()
        found = {"mean": values.mean(), "deviation": values.std(), "zero": (values == 0).mean()}
        if query.frames == 1:
            found["one"] = (values == 1).mean()
        return {name: float(figure) for name, figure in found.items()}
    if query.task_type.answer == "class":
        return {"distinct": len(answers.unique())}
    return {"targets": float(pc.mean(pc.list_value_length(answers)).as_py())}


def _seconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as whole epoch seconds, rounded down: nothing that follows them is known then."""
    kind = times.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _whole_seconds(times)
    # Text may have a zone; times without one are UTC. What has a zone is an instant, whatever its clocks show.
    for zone in ("UTC",) if getattr(kind, "tz", None) else (None, "UTC"):
        try:
            exact = pc.cast(times, pa.timestamp("us", zone), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        return pc.floor_temporal(exact, unit="second").cast(pa.timestamp("s", zone)).cast(pa.int64())
    raise DataError(f"examples: column anchor_time is {kind}; allowed are times, ISO text and epoch seconds")


def _whole_seconds(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    span = pc.min_max(numbers)
    if span["min"].as_py() is None:
        return numbers.cast(pa.int64())
    try:
        parts = EPOCH_UNITS[epoch_unit(span["min"].as_py(), span["max"].as_py())]
    except SchemaError as error:
        raise DataError(f"examples: the numbers of column anchor_time {error}") from None
    whole = numbers.cast(pa.int64()) if pa.types.is_integer(numbers.type) else pc.floor(numbers).cast(pa.int64())
    # Nanoseconds as doubles would lose their last digits; divided, whole numbers are cut towards 1970.
    seconds = pc.divide(whole, parts)
    return pc.subtract(seconds, pc.less(whole, pc.multiply(seconds, parts)).cast(pa.int64()))


def _cast(values: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
    try:
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        raise DataError(f"examples: column {name} is {values.type}, and {wanted} is wanted") from None


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)

"""Whether there is room to work in: folders that can be written to, space on their disks, memory within its limits."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gnnscale.arrays import MemoryLimits, end_processes, memory_limits, private_folder, remove_abandoned
from gnnscale.config import Settings, TableSettings
from gnnscale.lake import Lake, Source, SourceFormat, column_kinds, find_source
from gnnscale.schema import ColumnType, ConfigError, GnnscaleError, LakeError

MIB: Final = 1 << 20

LEAST_FREE: Final = 64 * MIB
"""Bytes that a lake's disk and the temporary folder's need beside the rows: records, logs, sockets."""

LEAST_MEMORY: Final = 2048 * MIB
"""Bytes that a run of the smallest tables takes: 1 GiB of Java heap and this process, or Ray's and a worker."""

HEAP_MIB: Final = 256

COLUMN_MIB: Final = 1
"""MiB of Java heap that the statistics of one column, and its part in Spark's plans, take; 500 columns took 490."""

SMALL_BYTES: Final = 64 * MIB
"""Bytes of sources up to which Java's second compiler takes longer than it saves: a graph of 35 MB took 101 CPU seconds
with it, and 75 without."""

LEAST_FILE: Final = 64 * 1024
"""Bytes that a smaller file counts as."""

LEAST_ADDRESSES: Final = 8 * 1024 * MIB
"""Bytes of addresses that the smallest run has room in: training takes 4.6 GB of those that ``ulimit -v`` bounds."""


def check_room(lake: Lake) -> None:
    """Refuse, before work begins, what would fail after minutes, and remove what runs that were killed have left.

    Args:
        lake: that is written to.

    Raises:
        LakeError: the lake or the temporary folder can't be written to, or its disk has no room.
        GnnscaleError: memory is limited to less than the smallest run takes.
    """
    check_memory(memory_limits())
    remove_abandoned(private_folder(), "*", end_processes)
    check_folder(Path(tempfile.gettempdir()), "the temporary folder", "TMPDIR", LEAST_FREE)
    if lake.local:
        check_folder(Path(lake.uri), "lake", "lake.uri", LEAST_FREE)
        remove_abandoned(Path(lake.uri), "_checkpoints-*")
        remove_abandoned(Path(f"{lake.cache_folder()}"))


def check_disk_for_graph(settings: Settings, lake: Lake) -> None:
    """Refuse to build a graph where its disk has less room than its compressed sources take.

    Args:
        settings: section ``tables`` counts.
        lake: that is written to.

    Raises:
        LakeError: there is less.
    """
    if lake.local:
        needed = LEAST_FREE + sum(_packed_bytes(name, t.source, settings) for name, t in _with_source(settings).items())
        check_folder(Path(lake.uri), "lake", "lake.uri", needed)


def is_small(settings: Settings) -> bool:
    """Whether all sources are files of this machine, and little together.

    Args:
        settings: section ``tables`` counts.
    """
    left = SMALL_BYTES
    for name, table in _with_source(settings).items():
        try:
            files = _local_files(find_source(name, table.source, settings.lake.storage_options))
        except GnnscaleError:
            # Whoever reads it says so.
            return False
        before = left
        for file in files:
            # Many files are work, too.
            left -= max(file.stat().st_size, LEAST_FILE)
            if left < 0:
                return False
        if left == before:
            return False
    return left < SMALL_BYTES


def java_heap(settings: Settings, limits: MemoryLimits) -> int:
    """Java heap that building the graph takes, by the columns of its widest table.

    Args:
        settings: sections ``tables`` and ``spark`` count.
        limits: of this process.

    Returns:
        MiB that are enough.

    Raises:
        GnnscaleError: ``spark.driver_memory`` is less than half of it, or it is more than half of the memory there is.
    """
    options = settings.lake.storage_options
    widths = {}
    for name, table in _with_source(settings).items():
        left_out = {column for column, given in table.columns.items() if given.type is ColumnType.IGNORE}
        widths[name] = len(set(column_kinds(find_source(name, table.source, options), options)) - left_out)
    widest = max(widths, key=lambda name: widths[name])
    needed, given = HEAP_MIB + COLUMN_MIB * widths[widest], settings.spark.driver_memory
    way_out = f"leave columns out (tables.{widest}.columns.<column>=ignore)"
    takes = f"table '{widest}' has {widths[widest]:,} columns, for which Spark's Java takes {needed:,} MiB"
    if given != "auto" and memory_mib(given) < needed // 2:
        raise GnnscaleError(f"{takes}, and spark.driver_memory={given} is too little; give it more, or {way_out}")
    if given == "auto" and needed * MIB > limits.memory // 2:
        most = limits.memory // 2 // MIB
        raise GnnscaleError(f"{takes}, more than the {most:,} MiB that {limits.source} has for it; {way_out}")
    return needed


def _with_source(settings: Settings) -> dict[str, TableSettings]:
    """Tables that have rows of their own, and don't follow from others."""
    return {name: table for name, table in settings.tables.items() if table.source}


def memory_mib(text: str) -> float:
    """MiB of a size as Java has it, such as ``900m`` or ``2g``; bytes without a unit.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"(\d+)\s*([kmgt]?)b?", text.strip().lower())
    if match is None:
        raise ConfigError(f"spark.driver_memory={text} is no size; write auto, 900m or 2g")
    return int(match[1]) * {"": 1 / MIB, "k": 1 / 1024, "m": 1, "g": 1024, "t": MIB}[match[2]]


def check_memory(limits: MemoryLimits) -> None:
    """Refuse limits in which the smallest run has no room.

    Raises:
        GnnscaleError: memory, or addresses, are limited to less.
    """
    if limits.memory < LEAST_MEMORY:
        raise GnnscaleError(
            f"memory is limited to {limits.memory / MIB:,.0f} MiB ({limits.source}), and the smallest run takes "
            f"{LEAST_MEMORY / MIB:,.0f} MiB; raise the limit"
        )
    if limits.addresses is not None and limits.addresses < LEAST_ADDRESSES:
        raise GnnscaleError(
            f"addresses are limited to {limits.addresses / MIB:,.0f} MiB (ulimit -v), and Java and torch reserve "
            f"{LEAST_ADDRESSES / MIB:,.0f} MiB of them; limit memory by a container, or set ulimit -v unlimited"
        )


def check_folder(folder: Path, what: str, setting: str, needed: int) -> None:
    """See that a folder, made where it is not there, can be written to and has room on its disk.

    Args:
        folder: to be written to.
        what: it is, for messages.
        setting: that names another.
        needed: bytes.

    Raises:
        LakeError: it can't be written to, or its disk has less room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".room-") as file:
            file.write(b"room")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LakeError(_no_room(folder, what, setting, 0, needed)) from None
        raise LakeError(
            f"{what} {folder} can't be written to ({error.strerror}); set {setting} to a folder that can be"
        ) from None
    usage = shutil.disk_usage(folder)
    # Some file systems don't tell their size.
    if usage.total and usage.free < needed:
        raise LakeError(_no_room(folder, what, setting, usage.free, needed))


def _no_room(folder: Path, what: str, setting: str, free: int, needed: int) -> str:
    return (
        f"{what} {folder} has {free / MIB:,.0f} MiB free on its disk, and at least {needed / MIB:,.0f} MiB are needed; "
        f"make room, or set {setting} to a folder on another disk"
    )


def _packed_bytes(table: str, source: str, settings: Settings) -> int:
    """Bytes of a local source whose rows are packed as tightly as a graph's; of others, 0."""
    found = find_source(table, source, settings.lake.storage_options)
    packed = found.format in (SourceFormat.PARQUET, SourceFormat.DELTA)
    return sum(file.stat().st_size for file in _local_files(found)) if packed else 0


def _local_files(source: Source) -> Iterator[Path]:
    """The files of a source on this machine; none of other sources."""
    path = Path(source.uri)
    return iter([path]) if path.is_file() else (file for file in path.rglob("*") if file.is_file())

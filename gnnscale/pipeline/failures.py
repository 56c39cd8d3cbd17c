"""What stopped a stage, in one line: a full disk, memory, a damaged file, or a process that is gone."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gnnscale.lake import Lake
from gnnscale.schema import ConfigError, DataError, GnnscaleError, LakeError, LostProcessError, SchemaError, mask_text

NO_ROOM: Final = re.compile(
    r"no space left on device|disk quota exceeded|OutOfDiskError|database or disk is full", re.I
)
READ_ONLY: Final = re.compile(r"read-only file system|permission denied|EROFS", re.I)
NO_HEAP: Final = re.compile(r"java heap space|gc overhead limit|OutOfMemoryError", re.I)
NO_MEMORY: Final = re.compile(
    r"cannot allocate memory|can't allocate memory|bad_alloc|unable to allocate|could not reserve enough space", re.I
)

LEAST_BYTES: Final = 1 << 20
"""Of a disk that is full when it has fewer."""

DAMAGED: Final = re.compile(r"error while reading file (\S+?)\.?(?:\s|$)", re.I)
"""Spark's words for a file whose footer was well and whose pages are not."""

UNREAD: Final = re.compile(r"Could not open Parquet input source '([^']+)'")
"""Arrow's words for a file that is cut off, or none of Parquet's."""

CAUSE: Final = re.compile(r"^Caused by: [\w.$]+: (.+)$", re.M)
"""What the JVM says of each error that led to another, the first cause last."""

RAISED_IN_TASK: Final = re.compile(r"^gnnscale\.schema\.errors\.(\w+): (.+)$", re.M)
"""An error of ours in the traceback of a task of Spark's."""

OWN: Final = {kind.__name__: kind for kind in (ConfigError, DataError, LakeError, SchemaError)}


def explain_failure(error: BaseException, lake: Lake, driver_memory: str = "auto") -> GnnscaleError | None:
    """A failure that has nothing to do with what was asked for, as an error of one line; None where it is another.

    Args:
        error: that stopped a stage.
        lake: that it wrote to.
        driver_memory: as ``spark.driver_memory`` has it.
    """
    chain = list(_chain(error))
    text = "\n".join(f"{type(link).__name__}: {_said(link)}" for link in chain)
    if (raised := RAISED_IN_TASK.search(text)) and raised[1] in OWN:
        return OWN[raised[1]](mask_text(raised[2].strip()))
    numbers = {link.errno for link in chain if isinstance(link, OSError)}
    if numbers & {errno.ENOSPC, errno.EDQUOT} or NO_ROOM.search(text):
        return _no_room(lake)
    if NO_HEAP.search(text):
        return GnnscaleError(
            f"Spark's Java ran out of memory with spark.driver_memory={driver_memory}; give it more, or leave columns "
            "out (tables.<table>.columns.<column>=ignore), and run again"
        )
    if any(isinstance(link, MemoryError) for link in chain) or NO_MEMORY.search(text):
        return GnnscaleError(
            f"no memory is left on this machine or within its limits ({first_line(error)}); give more, or take "
            "smaller batches (training.batch_size, embedding.batch_size), and run again"
        )
    if damaged := DAMAGED.search(text):
        causes = CAUSE.findall(text)
        why = f" ({causes[-1].strip()[:200]})" if causes else ""
        return LakeError(mask_text(f"{damaged[1].removeprefix('file://')} can't be read: it is damaged{why}"))
    if unread := UNREAD.search(text):
        return LakeError(
            mask_text(f"{unread[1]} can't be read: it is damaged. Put it back, or run the stage that writes it again")
        )
    if numbers & {errno.EROFS, errno.EACCES, errno.EPERM} or READ_ONLY.search(text):
        return LakeError(f"a file or folder can't be used: {first_line(error)}")
    return None


def full_disk(lake: Lake) -> LakeError | None:
    """The error for a disk that has no room now, whatever else has failed for that; None where there is room."""
    return _no_room(lake) if any(is_full(folder) for _, folder in _disks(lake)) else None


def is_full(folder: Path | str) -> bool:
    """Whether the disk of a folder has no room now."""
    return shutil.disk_usage(folder).free < LEAST_BYTES


def lost_process(name: str, cause: str) -> LostProcessError:
    """The error for a process that is gone.

    Args:
        name: of the process, such as ``Spark's JVM``.
        cause: what is known of its end.
    """
    return LostProcessError(
        f"{name} is gone ({cause}): something has killed it, as the kernel does where memory is short. What was "
        "committed stays; run again to go on"
    )


def end_in_words(status: int | None) -> str:
    """How a process has ended, by its return code."""
    if status is None:
        return "it does not answer"
    return f"killed by signal {-status}" if status < 0 else f"it ended with status {status}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or getattr(link, "cause", None) or link.__context__


def _no_room(lake: Lake) -> LakeError:
    free = [f"{shutil.disk_usage(place).free / 2**20:,.0f} MiB for {name}" for name, place in _disks(lake)]
    return LakeError(
        f"no space left on a disk; free are {' and '.join(free)}. Make room and run again: what was committed stays"
    )


def _disks(lake: Lake) -> list[tuple[str, Path]]:
    """Where a run writes: what it is for, and a folder on that disk which is there."""
    folders = [("TMPDIR", Path(tempfile.gettempdir()))]
    if lake.local:
        folders.insert(0, ("the lake", Path(lake.uri)))
    found = []
    for name, folder in folders:
        place = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        found.append((f"{name} ({folder})", place))
    return found


def _said(error: BaseException) -> str:
    """An error's message; Java's errors ask the JVM for theirs, which may be gone."""
    try:
        return str(error)
    except Exception:
        return " ".join(str(part) for part in error.args if isinstance(part, str | int))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, secrets masked; its name where it has none."""
    lines = [line.strip() for line in mask_text(_said(error)).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__

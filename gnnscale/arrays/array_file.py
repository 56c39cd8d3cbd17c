"""Files of arrays that are written through a mapping, with room on the disk for all of them."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike

from gnnscale.schema import LakeError

FULL = {errno.ENOSPC, errno.EDQUOT}
UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def create_array(file: Path, kind: DTypeLike, shape: Sequence[int]) -> np.memmap[Any, np.dtype[Any]]:
    """Make a file of zeros as NumPy writes them, and map it for writing; one of that name goes first.

    A mapped file has holes until it is written to, and a process that writes to a hole when the disk is full is killed
    without a word. So the room is taken before.

    Args:
        file: to make, in a folder that is there.
        kind: type of the numbers.
        shape: of the array.

    Raises:
        LakeError: the disk has no room for it.
    """
    needed = math.prod(shape) * np.dtype(kind).itemsize
    file.unlink(missing_ok=True)
    try:
        # Refused before anything is taken, so that what others of the disk's users write meanwhile has room.
        if needed > _free(file.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        array = open_memmap(file, mode="w+", dtype=np.dtype(kind), shape=tuple(shape))
        _take_room(file)
    except OSError as error:
        file.unlink(missing_ok=True)
        if error.errno not in FULL:
            raise
        raise LakeError(
            f"{file.name} in {file.parent} needs {needed:,} bytes, and the disk has {_free(file.parent):,} free; make "
            "room, or keep arrays on another disk (lake.cache)"
        ) from error
    return array


def _free(folder: Path) -> float:
    """Bytes that are free; without end where the file system doesn't tell its size."""
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else math.inf


def _take_room(file: Path) -> None:
    """Have the file system set aside all blocks of a file."""
    if not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
        except OSError as error:
            # Some network file systems have no blocks to set aside: that there is room now has to do.
            if error.errno not in UNSUPPORTED:
                raise

"""What stops a run without being anybody's fault is told in a line, before work begins where that can be."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from gnnscale.arrays import MemoryLimits
from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline.failures import end_in_words, explain_failure, lost_process
from gnnscale.pipeline.room import check_disk_for_graph, check_folder, check_memory, check_room
from gnnscale.schema import GnnscaleError, LakeError

MIB = 1 << 20


def wrapped(cause: BaseException) -> RuntimeError:
    """An error of a library that has another behind it."""
    try:
        raise RuntimeError("a task failed\nmany lines\nof Java") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no space left on a disk; free are"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "MiB for the lake"),
        (RuntimeError("Py4JJavaError: java.io.IOException: No space left on device\n\tat x"), "MiB for TMPDIR"),
        (RuntimeError("java.lang.OutOfMemoryError: Java heap space\n\tat x"), "spark.driver_memory=1g"),
        (MemoryError("Unable to allocate 8. GiB"), "no memory is left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "training.batch_size"),
        (PermissionError(errno.EACCES, "Permission denied", "/lake/x"), "can't write: [Errno 13] Permission denied"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/lake/x"), "can't write"),
    ],
)
def test_disk_and_memory_are_told_in_a_line_whatever_library_meets_them(
    tmp_path: Path, error: BaseException, says: str
) -> None:
    for each in (error, wrapped(error)):
        found = explain_failure(each, Lake(tmp_path), "1g")
        assert isinstance(found, GnnscaleError) and says.split(":")[0] in str(found) and "\n" not in str(found)
    assert says in str(explain_failure(error, Lake(tmp_path), "1g"))


def test_a_fault_of_the_program_is_none_of_them(tmp_path: Path) -> None:
    for error in (KeyError("x"), ValueError("28"), FileNotFoundError(errno.ENOENT, "no", "x"), ZeroDivisionError()):
        assert explain_failure(error, Lake(tmp_path)) is None


def test_the_end_of_a_process_is_told() -> None:
    assert end_in_words(-9) == "killed by signal 9" and end_in_words(1) == "it ended with status 1"
    assert str(lost_process("Spark's JVM", "killed by signal 9")).startswith("Spark's JVM is gone (killed by signal 9)")


def test_a_lake_that_can_t_be_written_to_is_told_before_work_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "lake", Path("/proc/lake")):
        with pytest.raises(LakeError, match=r"can't be written to .*set lake\.uri"):
            check_room(Lake(folder))
    check_room(Lake(tmp_path / "new"))
    assert not list((tmp_path / "new").iterdir())


def test_a_disk_without_room_and_a_limit_of_memory_are_refused_with_the_figure(tmp_path: Path, shop_content) -> None:
    lake = Lake(tmp_path / "lake")
    check_disk_for_graph(build_settings({**shop_content, "lake": {"uri": lake.uri}}), lake)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(LakeError, match=rf"MiB free on its disk, and at least {2 * free // MIB:,} MiB are needed"):
        check_folder(tmp_path, "lake", "lake.uri", 2 * free // MIB * MIB)
    with pytest.raises(GnnscaleError, match=r"limited to 1,200 MiB \(this container\).*takes 2,048 MiB"):
        check_memory(MemoryLimits(1200 * MIB, "this container", None))
    with pytest.raises(GnnscaleError, match=r"4,096 MiB \(ulimit -v\)"):
        check_memory(MemoryLimits(8192 * MIB, "this machine", 4096 * MIB))
    check_memory(MemoryLimits(8192 * MIB, "this machine", None))

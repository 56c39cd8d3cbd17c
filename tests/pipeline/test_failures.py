"""What stops a run without being anybody's fault is told in a line, before work begins where that can be."""

import errno
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.arrays import MemoryLimits
from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline.failures import end_in_words, explain_failure, lost_process
from gnnscale.pipeline.room import (
    HEAP_MIB,
    check_disk_for_graph,
    check_folder,
    check_memory,
    check_room,
    java_heap,
    memory_mib,
)
from gnnscale.schema import ConfigError, GnnscaleError, LakeError

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
        (PermissionError(errno.EACCES, "Permission denied", "/lake/x"), "can't be used: [Errno 13] Permission denied"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/lake/x"), "can't be used"),
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


def test_java_gets_heap_for_the_columns_of_the_widest_table_or_the_run_is_refused(tmp_path: Path, shop_content) -> None:
    wide = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"customer_id": ["c001"], **{f"c{i}": [1.0] for i in range(5_000)}}), wide)
    tables = {**shop_content["tables"], "wide": {"source": str(wide), "primary_key": "customer_id"}}
    limits = MemoryLimits(64 << 30, "this machine", None)

    def heap(memory: str, limits: MemoryLimits = limits, **columns: str) -> int:
        content = {**shop_content, "tables": {**tables, "wide": {**tables["wide"], "columns": columns}}}
        return java_heap(build_settings({**content, "spark": {"driver_memory": memory}}), limits)

    assert heap("auto") == heap("4g") == HEAP_MIB + 5_001
    assert heap("auto", **{f"c{i}": "ignore" for i in range(4_000)}) == HEAP_MIB + 1_001
    with pytest.raises(GnnscaleError, match=r"'wide' has 5,001 columns.* 5,257 MiB, and spark\.driver_memory=1g"):
        heap("1g")
    with pytest.raises(GnnscaleError, match=r"5,257 MiB, more than the 4,096 MiB that this machine has.*=ignore"):
        heap("auto", MemoryLimits(8 << 30, "this machine", None))
    assert [memory_mib(text) for text in ("900m", "2g", "2GB", "1048576")] == [900, 2048, 2048, 1]
    with pytest.raises(ConfigError, match=r"spark\.driver_memory=much"):
        memory_mib("much")

"""What stops a run without being anybody's fault is told in a line, before work begins where that can be."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from gnnscale.arrays import MemoryLimits
from gnnscale.config import SparkSettings, build_settings
from gnnscale.etl.spark.session import _configuration
from gnnscale.etl.spark.source_scan import read_files
from gnnscale.lake import Lake, find_source, open_rows
from gnnscale.pipeline.failures import end_in_words, explain_failure, first_line, lost_process
from gnnscale.pipeline.room import (
    HEAP_MIB,
    check_disk_for_graph,
    check_folder,
    check_memory,
    check_room,
    is_small,
    java_heap,
    memory_mib,
)
from gnnscale.pipeline.workers import lost_processes
from gnnscale.schema import ConfigError, GnnscaleError, LakeError
from tests.faults.campaign import has_small_disks

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


def test_an_error_that_java_can_t_say_any_more_is_no_further_one(tmp_path: Path) -> None:
    class GoneError(Exception):
        def __str__(self) -> str:
            raise ConnectionError("the JVM is gone")

    assert explain_failure(GoneError("o12"), Lake(tmp_path)) is None
    assert "No space left" not in first_line(GoneError("o12"))
    assert isinstance(explain_failure(GoneError("java: No space left on device"), Lake(tmp_path)), LakeError)


@pytest.mark.skipif(not has_small_disks(), reason="this user can't make a disk of its own")
@pytest.mark.parametrize("ignored", [False, True], ids=["in front", "in a script's background"])
def test_a_full_disk_is_the_cause_of_whatever_else_fails(tmp_path: Path, ignored: bool) -> None:
    program = f"""
import tempfile, time
from pathlib import Path
from gnnscale.lake import Lake
from gnnscale.pipeline.failures import full_disk
from gnnscale.pipeline.workers.lost_processes import find_lost, watched
# As a run does before it works; Python looks elsewhere for a folder where it can't write.
tempfile.gettempdir()
lake = Lake({str(tmp_path / "small" / "lake")!r})
assert full_disk(lake) is None
with watched():
    time.sleep(0.5)
with Path({str(tmp_path / "small" / "filler")!r}).open("wb") as file:
    try:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError:
        pass
print(full_disk(lake))
try:
    with watched():
        for _ in range(600):
            time.sleep(0.1)
except KeyboardInterrupt:
    print(find_lost())
"""
    (tmp_path / "small").mkdir()
    trap = "trap '' INT; " if ignored else ""
    mounted = f'{trap}mount -t tmpfs -o size=4m tmpfs {tmp_path / "small"} && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mounted, "sh", sys.executable, "-c", program]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "small")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert len(done.stdout.splitlines()) == 2, done.stdout + done.stderr
    told, lost = done.stdout.splitlines()
    assert told.startswith("no space left on a disk; free are 0 MiB for the lake"), done.stderr
    assert lost == "('room on the disk of TMPDIR', 'it is full')"


def test_a_fault_of_the_program_is_none_of_them(tmp_path: Path) -> None:
    for error in (KeyError("x"), ValueError("28"), FileNotFoundError(errno.ENOENT, "no", "x"), ZeroDivisionError()):
        assert explain_failure(error, Lake(tmp_path)) is None


def test_a_damaged_page_is_told_with_its_file_whoever_reads_it(tmp_path: Path, spark) -> None:
    """Spark's reader and our tasks, each in one line; the footer, which is looked at first, is well."""
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table({"amount": pa.array(range(5000), pa.int64())}), path, compression="zstd")
    start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))
    rows = open_rows(find_source("orders", str(path)))

    def read(batches):
        for _ in batches:
            yield from rows.batches(rows.parts)

    frames = read_files(spark, str(tmp_path), [str(path)]), spark.range(1).mapInArrow(read, "amount long")
    for frame in frames:
        with pytest.raises((PySparkException, Py4JJavaError)) as caught:
            frame.agg({"amount": "sum"}).collect()
        found = explain_failure(caught.value, Lake(tmp_path / "lake"))
        assert isinstance(found, LakeError), str(caught.value)
        assert str(found).startswith(f"{path} can't be read") and "\n" not in str(found)


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


def test_a_loss_that_is_found_after_the_block_interrupts_nobody(monkeypatch) -> None:
    asked = threading.Event()

    def find() -> tuple[str, str]:
        asked.set()
        time.sleep(0.3)
        return "Ray's GCS", "killed by signal 9"

    monkeypatch.setattr(lost_processes, "find_lost", find)
    with lost_processes.watched():
        assert asked.wait(10)
    time.sleep(0.6)
    assert not lost_processes._LOST


BEGINNING = """
import time
import ray
from gnnscale.pipeline.workers import lost_processes
services = ray._private.services
before = services.start_ray_process
try:
    with lost_processes.watched(), lost_processes.noted_processes():
        begun = services.start_ray_process(["sleep", "60"], "gcs_server", fate_share=False).process
        begun.kill()
        # Whoever waits for it has it gone from the list of processes.
        begun.wait()
        time.sleep(30)
except KeyboardInterrupt:
    print(lost_processes.find_lost(), services.start_ray_process is before, lost_processes._BEGUN)
"""


def test_a_process_of_a_ray_that_begins_is_missed_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", BEGINNING], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "(\"Ray's GCS\", 'killed by signal 9') True []\n", done.stderr


def test_little_is_worked_on_with_a_quick_java(tmp_path: Path, shop_content) -> None:
    assert is_small(build_settings(shop_content))
    large = tmp_path / "large.parquet"
    shutil.copy(shop_content["tables"]["customers"]["source"], large)
    with large.open("ab") as file:
        file.truncate(65 * MIB)
    tables = shop_content["tables"]
    for source in (str(large), str(tmp_path / "none.parquet"), "s3://shop/customers.parquet"):
        other = {**tables, "customers": {**tables["customers"], "source": source}}
        assert not is_small(build_settings({**shop_content, "tables": other}))
    options = [
        _configuration(SparkSettings(), submitted, small=small).get("spark.driver.extraJavaOptions", "")
        for submitted, small in ((False, True), (False, False), (True, True))
    ]
    assert ["TieredStopAtLevel" in given for given in options] == [True, False, False]
    assert all(given.startswith("-Dlog4j2") for given in options[:2])


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

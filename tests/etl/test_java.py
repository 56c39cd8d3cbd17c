"""Java is found in JAVA_HOME or PATH, and one that is too old is named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gnnscale.arrays.host_arrays import remove_abandoned
from gnnscale.etl.spark.java import choose_java, java_version
from gnnscale.schema import GnnscaleError
from tests.cluster import wait_until


def fake_java(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.mark.parametrize(("said", "major"), [("17.0.15", 17), ("1.8.0_402", 8), ("21", 21), ("11.0.2", 11)])
def test_versions_old_and_new_are_read(tmp_path: Path, said: str, major: int) -> None:
    assert java_version(str(fake_java(tmp_path, said) / "bin" / "java")) == major


def test_the_java_here_will_do() -> None:
    java = shutil.which("java")
    assert java is not None
    assert (java_version(java) or 0) >= 17


def test_an_old_home_gives_way_to_a_newer_java_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "11.0.2")))
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "new", "21.0.1") / "bin"))
    choose_java()
    assert "JAVA_HOME" not in os.environ


def test_no_java_or_an_old_one_is_said_with_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GnnscaleError, match=r"none was found.*apt-get install openjdk-17-jre-headless"):
        choose_java()
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "11.0.2")))
    with pytest.raises(GnnscaleError, match="is 11"):
        choose_java()


def test_a_java_that_ends_before_it_answers_is_told(tmp_path: Path) -> None:
    program = """
from gnnscale.config import SparkSettings
from gnnscale.etl import open_session
from gnnscale.schema import LostProcessError
try:
    open_session(SparkSettings())
except LostProcessError as error:
    print(error)
"""
    environment = {**os.environ, "JAVA_HOME": str(fake_java(tmp_path / "gone", "17.0.15"))}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.stdout.startswith("Spark's JVM has ended before it answered: something has killed it"), run.stderr
    assert "Traceback" not in run.stderr


def test_a_killed_java_leaves_no_traceback_of_pyspark(tmp_path: Path) -> None:
    program = """
import time
from pyspark import SparkContext
from gnnscale.config import SparkSettings
from gnnscale.etl import open_session
session = open_session(SparkSettings(master="local[1]", driver_memory="1g"))
# The first task begins to tell of its accumulators.
assert session.sparkContext.parallelize([1, 2]).map(lambda row: row).count() == 2
SparkContext._gateway.proc.kill()
time.sleep(2)
# What it writes where a command was on its way, which it was not this time.
import logging
place = logging.__file__.replace("logging", "py4j")
exec(compile("try: 1 / 0\\nexcept ZeroDivisionError: logging.exception('while sending')", place, "exec"))
logging.error("ours")
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0 and "Traceback" not in run.stderr, run.stderr
    assert "while sending" not in run.stderr and "ERROR:root:ours" in run.stderr


def test_a_run_that_is_killed_while_java_starts_leaves_nothing_that_the_next_does_not_remove(tmp_path: Path) -> None:
    program = """
from gnnscale.config import SparkSettings
from gnnscale.etl import open_session
open_session(SparkSettings(master="local[1]", driver_memory="1g"))
"""
    java = fake_java(tmp_path / "slow", "17.0.15") / "bin" / "java"
    java.write_text(f'{java.read_text()}test "$1" = -version || {{ touch {tmp_path}/starts; exec sleep 60; }}\n')
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "JAVA_HOME": str(tmp_path / "slow"), "TMPDIR": str(temporary)}
    environment.pop("PYSPARK_GATEWAY_PORT", None)
    run = subprocess.Popen([sys.executable, "-c", program], env=environment, start_new_session=True)
    try:
        wait_until(lambda: (tmp_path / "starts").exists(), [run])
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    # How the JVM would have been reached, and its secret, are in a folder of this user alone.
    own = temporary / f"gnnscale-{os.getuid()}"
    assert list(temporary.iterdir()) == [own] and list(own.glob("spark-*/tmp*"))
    remove_abandoned(own)
    assert not list(own.iterdir())

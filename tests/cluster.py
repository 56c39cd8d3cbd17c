"""A real standalone Spark cluster on this machine: one master, workers, and jobs that are submitted to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyspark

from gnnscale.etl.spark.java import choose_java
from tests.java_archive import java_options

ROOT = Path(__file__).resolve().parents[1]
SPARK_HOME = Path(pyspark.__file__).parent
HOST = "127.0.0.1"
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


@dataclass
class Job:
    """A submitted script; all that it and its driver say goes to ``log``."""

    process: subprocess.Popen
    log: Path

    def wait(self, seconds: float = 120) -> str:
        """Let the job end well; one that takes longer is killed, so that it leaves its cores to the next.

        Returns:
            What it has said.
        """
        try:
            code: int | str = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = f"nothing in {seconds} seconds"
        said = self.log.read_text()
        assert code == 0, f"{self.process.args} ended with {code}:\n{said[-10_000:]}"
        return said


@dataclass
class Cluster:
    """A master, its workers, and what was submitted.

    Args:
        folder: for logs and the executors' folders.
        cores: of a worker; one executor takes them all.
        master: URL for ``spark-submit``.
        page: URL of the master's page.
    """

    folder: Path
    cores: int = 1
    master: str = ""
    page: str = ""
    master_process: subprocess.Popen | None = None
    worker_processes: list[subprocess.Popen] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    @property
    def worker_pids(self) -> list[int]:
        """Processes of the workers."""
        return [process.pid for process in self.worker_processes]

    def state(self) -> dict[str, Any]:
        """The master's page: ``workers``, ``activeapps`` and more."""
        with urllib.request.urlopen(f"{self.page}/json/", timeout=10) as answer:
            return json.load(answer)

    def executor_pids(self, app: str | None = None) -> list[int]:
        """Processes of the executors, of one application or of all."""
        pids = []
        for pid in descendants(self.worker_pids):
            words = command_line(pid)
            if EXECUTOR in words and (app is None or words[words.index("--app-id") + 1] == app):
                pids.append(pid)
        return pids

    def start(
        self, script: str, *args: str, conf: dict[str, str] | None = None, env: dict[str, str] | None = None
    ) -> Job:
        """Submit a script and go on; its driver runs here, its tasks on the workers.

        Args:
            script: path, from the repository's root.
            args: of the script.
            conf: further Spark configuration.
            env: further environment variables of the driver.
        """
        settings = {
            "spark.driver.host": HOST,
            "spark.driver.bindAddress": HOST,
            "spark.driver.memory": "512m",
            "spark.executor.memory": "512m",
            "spark.executor.extraJavaOptions": java_options(),
            "spark.executorEnv.PYTHONPATH": str(ROOT),
            "spark.ui.enabled": "false",
            **(conf or {}),
        }
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.master]
        command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        job = Job(*launch([*command, script, *args], self.folder / f"job-{len(self.jobs)}.log", env or {}))
        self.jobs.append(job)
        return job

    def submit(self, script: str, *args: str, seconds: float = 120, **settings: Any) -> str:
        """Submit a script, as :meth:`start` does, and wait until it has ended well.

        Returns:
            What the script and its driver have said.
        """
        return self.start(script, *args, **settings).wait(seconds)

    def kill_executor(self, of: int | None = None) -> int:
        """End an executor as a lost machine would, with SIGKILL.

        Args:
            of: a process under the executor that is meant, such as a Python worker; default: any executor.

        Returns:
            The process that was killed.
        """
        pids = self.executor_pids()
        if of is not None:
            pids = [pid for pid in pids if of in descendants([pid])]
        assert pids, f"there is no executor{f' above process {of}' if of else ''}"
        os.kill(pids[0], signal.SIGKILL)
        return pids[0]

    def stop(self) -> None:
        """Kill everything that was started, and everything under it."""
        daemons = [*self.worker_processes, *([self.master_process] if self.master_process else [])]
        processes = [*(job.process for job in self.jobs), *daemons]
        for pid in descendants([process.pid for process in processes]):
            end(pid)
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def spark_cluster(folder: Path, workers: int = 2, cores: int = 1) -> Iterator[Cluster]:
    """A cluster whose workers have registered; at the end nothing of it is left.

    Args:
        folder: for logs and the executors' folders.
        workers: how many, each with 1 GB for its executors.
        cores: of each worker.
    """
    choose_java()
    cluster = Cluster(folder, cores)
    daemon = [str(SPARK_HOME / "bin" / "spark-class"), "org.apache.spark.deploy"]
    ends = ["--host", HOST, "--port", "0", "--webui-port", "0"]
    try:
        log = folder / "master.log"
        cluster.master_process, _ = launch([daemon[0], f"{daemon[1]}.master.Master", *ends], log, {})
        running = [cluster.master_process]
        cluster.master = _said(log, r"Starting Spark master at (\S+)", running)
        cluster.page = _said(log, r"Bound MasterWebUI to .* started at (\S+)", running)
        size = ["--cores", str(cores), "--memory", "1g"]
        for number in range(workers):
            place = ["--work-dir", str(folder / f"worker-{number}")]
            command = [daemon[0], f"{daemon[1]}.worker.Worker", *ends, *size, *place, cluster.master]
            cluster.worker_processes.append(launch(command, folder / f"worker-{number}.log", {})[0])
        running += cluster.worker_processes
        wait_until(lambda: [w["state"] for w in cluster.state()["workers"]] == ["ALIVE"] * workers, running)
        yield cluster
    finally:
        cluster.stop()


def wait_until(moment: Callable[[], object], running: Sequence[subprocess.Popen] = (), seconds: float = 60) -> None:
    """Look until something is so.

    Args:
        moment: true when it is.
        running: processes without which it will never be.
        seconds: after which to give up.
    """
    end = time.monotonic() + seconds
    while not moment():
        for process in running:
            assert process.poll() is None, f"{process.args} has ended with {process.returncode}"
        assert time.monotonic() < end, f"not in {seconds} seconds"
        time.sleep(0.05)


def descendants(roots: Sequence[int]) -> list[int]:
    """Processes under others, the roots left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            children.setdefault(int(parent), []).append(int(entry.name))
    found, queue = [], list(roots)
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def command_line(pid: int) -> list[str]:
    """Words of a process's command; none where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def launch(command: list[str], log: Path, env: dict[str, str]) -> tuple[subprocess.Popen, Path]:
    """Start a program of Spark's that ends with the tests; all that it says goes to ``log``."""
    environment = {
        **os.environ,
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_DAEMON_JAVA_OPTS": f"{java_options()} -Dspark.master.rest.enabled=false",
        "SPARK_SUBMIT_OPTS": java_options(),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        **env,
    }
    # Should the tests themselves be killed, the kernel ends what they have started.
    tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("w") as sink:
        process = subprocess.Popen(
            [*tied, *command], stdout=sink, stderr=subprocess.STDOUT, env=environment, cwd=ROOT, start_new_session=True
        )
    return process, log


def _said(log: Path, pattern: str, running: Sequence[subprocess.Popen]) -> str:
    wait_until(lambda: re.search(pattern, log.read_text()), running)
    return re.findall(pattern, log.read_text())[0]


def end(pid: int) -> None:
    """Kill a process, where it lives."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

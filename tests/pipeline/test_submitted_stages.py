"""Stages as tasks of a job on Databricks: what the SDK asks of a server, and what is made of its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gnnscale.pipeline import DatabricksJob, RayJobs
from gnnscale.schema import ConfigError, GnnscaleError, LostProcessError

JOB = 17


@dataclass
class Workspace:
    """A server that runs tasks of one job as it is told.

    Args:
        ends: task -> how its runs end: ``SUCCESS``, ``FAILED``, or ``INTERNAL_ERROR`` of the platform.
        asked: bodies of the runs that were asked for.
    """

    ends: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    looks: int = 0

    def run_now(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["job_id"] != JOB:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"Job {body['job_id']} does not exist."}
        self.asked.append(body)
        self.looks = 0
        return 200, {"run_id": len(self.asked), "number_in_job": 1}

    def run(self) -> tuple[int, dict[str, Any]]:
        self.looks += 1
        (stage,) = self.asked[-1]["only"]
        end = self.ends.get(stage, "SUCCESS")
        tasks = [{"task_key": stage, "run_id": 100 + len(self.asked)}]
        if self.looks == 1:
            state = {"life_cycle_state": "RUNNING", "state_message": "In run"}
        elif end == "INTERNAL_ERROR":
            state = {"life_cycle_state": end, "state_message": "Cluster was lost"}
        else:
            state = {"life_cycle_state": "TERMINATED", "result_state": end, "state_message": "ended"}
        return 200, {"run_id": len(self.asked), "job_id": JOB, "state": state, "tasks": tasks}


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    found = Workspace()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/api/2.2/jobs/run-now", self.path
            self.answer(*found.run_now(body))

        def do_GET(self) -> None:
            if self.path.startswith("/api/2.2/jobs/runs/get-output"):
                self.answer(200, {"error": "table 'orders': no file or folder at /Volumes/a/b/c"})
            elif self.path.startswith("/api/2.2/jobs/runs/get"):
                self.answer(*found.run())
            else:
                self.answer(404, {})

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()
        thread.join()


def job(workspace: Workspace, number: int = JOB, **parameters: str) -> DatabricksJob:
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(host=workspace.url, token="of-a-test", auth_type="pat")
    return DatabricksJob(number, parameters, client)


def test_one_task_is_run_with_the_parameters_of_the_job(workspace: Workspace) -> None:
    submit = job(workspace, catalog="shop", mode="best")
    submit("graph", "recipe.yaml", ["lake.uri=/Volumes/shop/gnnscale/lake/lake"], "fast")
    submit("labels", "recipe.yaml", [], None)
    same = {"recipe": "recipe.yaml", "catalog": "shop", "mode": "best"}
    assert workspace.asked == [
        {"job_id": JOB, "only": [stage], "job_parameters": same} for stage in ("graph", "labels")
    ]


def test_faults_are_told_in_a_line(workspace: Workspace) -> None:
    workspace.ends = {"graph": "FAILED", "train": "INTERNAL_ERROR"}
    with pytest.raises(GnnscaleError, match=r"^graph: table 'orders': no file or folder at .* \(run 1\)$") as caught:
        job(workspace)("graph", "shop", [], None)
    assert not isinstance(caught.value, LostProcessError)
    with pytest.raises(LostProcessError, match=r"^train: .*INTERNAL_ERROR: Cluster was lost \(run 2\)$"):
        job(workspace)("train", "shop", [], None)
    with pytest.raises(ConfigError, match=r"^graph: job 5 can't be run: Job 5 does not exist"):
        job(workspace, 5)("graph", "shop", [], None)


def test_a_ray_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(LostProcessError, match=r"^Ray at http://127.0.0.1:9 takes no jobs: "):
        RayJobs("http://127.0.0.1:9")("graph", "shop", [], None)

"""A Ray of our own is private: it listens on this machine alone, behind a token, in a folder of the user's own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import ray
from ray._private import ray_constants
from ray._private.node import Node

from gnnscale.config import build_settings
from gnnscale.pipeline.workers.local_ray import NEEDLESS, ends_with_us, start_ray
from tests.cluster import ROOT

# What asks for the token is the two servers; the titles that other processes give themselves overwrite what /proc shows
# of their environment.
PROGRAM = """
import os, sys, tempfile
from pathlib import Path
import ray
from gnnscale.config import build_settings
from gnnscale.pipeline.workers.local_ray import start_ray, stop_ray
from ray._private.node import Node
from tests.cluster import command_line, descendants
import json

own_names = ("RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
start_ray(build_settings(json.loads(sys.argv[1])))
own = {os.getpid(), *descendants([os.getpid()])}
sockets = set()
for pid in own:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(link))
        except OSError:
            pass
listening = set()
for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in Path(table).read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            listening.add(words[1].split(":")[0])
here = ray.util.get_node_ip_address()
(session,) = Path(tempfile.gettempdir()).glob("gnnscale-*/ray-*/session_2*")
mode = session.parents[1].stat().st_mode & 0o777
servers = [pid for pid in own if Path(f"/proc/{pid}/comm").read_text().strip() in ("gcs_server", "raylet")]
tokens = {b"RAY_AUTH_TOKEN=" in Path(f"/proc/{pid}/environ").read_bytes() for pid in servers}
names = [" ".join(command_line(pid)) for pid in own]
needless = [name for name in names if any(f"{word}.py" in name for word in ("dashboard", "monitor", "log_monitor"))]
as_before = Node.start_monitor.__name__ == "start_monitor" and Node.start_api_server.__name__ == "start_api_server"
stop_ray()
left = list(session.parents[1].glob("ray-*"))
restored = not set(own_names) & os.environ.keys()
auth = os.environ["RAY_AUTH_MODE"]
said = [here, sorted(listening), mode, len(servers), sorted(tokens), auth, len(left), restored, needless, as_before]
print(json.dumps(said))
"""

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1 of IPv4 and within IPv6, and ::1, as the kernel lists them."""


@pytest.mark.slow
def test_nothing_but_this_user_reaches_a_ray_of_our_own(shop_content) -> None:
    with tempfile.TemporaryDirectory(prefix="gf-", dir="/tmp") as folder:
        environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": str(ROOT)}
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            environment.pop(name, None)
        command = [sys.executable, "-c", PROGRAM, json.dumps(shop_content)]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
        assert run.returncode == 0, run.stderr
        said = json.loads(run.stdout.splitlines()[-1])
        here, listening, mode, servers, tokens, auth, left, restored, needless, as_before = said
        assert not list(Path(folder).glob("*/ray-*"))
    assert here == "127.0.0.1" and listening and set(listening) <= LOOPBACK
    assert mode == 0o700 and servers == 2 and tokens == [True] and auth == "token" and left == 0 and restored
    assert not needless and as_before


def test_a_ray_that_does_not_begin_leaves_this_process_as_it_was(shop_content, monkeypatch, tmp_path) -> None:
    def fail(**given):
        assert os.environ["RAY_AUTH_TOKEN"] and Path(given["_temp_dir"]).is_dir()
        folders.append(Path(given["_temp_dir"]))
        raise ConnectionError("no room for a socket")

    folders: list[Path] = []
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    before, clusters = dict(os.environ), ray_constants.ENABLE_RAY_CLUSTER
    starts = {name: getattr(Node, name) for name in NEEDLESS}
    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ConnectionError, match="no room"):
        start_ray(build_settings(shop_content))
    assert dict(os.environ) == before and clusters == ray_constants.ENABLE_RAY_CLUSTER
    assert {name: getattr(Node, name) for name in NEEDLESS} == starts and not folders[0].exists()
    assert not ends_with_us()

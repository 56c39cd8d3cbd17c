"""Hosts with networks of their own on this machine, where its kernel and our rights allow it (Linux, root, ``ip``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from secrets import randbelow, token_hex

REACH = """
import errno, socket, sys
for address in sys.argv[1:]:
    with socket.socket() as trial:
        trial.settimeout(5)
        found = trial.connect_ex((address, 9))
        # A host that nobody listens on refuses at once; one that can't be reached says nothing.
        if found not in (0, errno.ECONNREFUSED):
            sys.exit(f"{address} does not answer")
"""


@dataclass(frozen=True)
class Host:
    """An address, and what a command begins with that is to run behind it.

    Args:
        address: that the others, and this machine, reach it by.
        prefix: words before a command; none for this machine itself.
    """

    address: str
    prefix: tuple[str, ...] = ()


@contextmanager
def namespaces(count: int) -> Iterator[list[Host]]:
    """Network namespaces that a bridge joins; none of it is left afterwards.

    Yields:
        The hosts; an empty list where namespaces can't be had.
    """
    with ExitStack() as made:
        try:
            hosts = _make(count, made)
        except (OSError, subprocess.SubprocessError):
            made.close()
            hosts = []
        yield hosts


def _make(count: int, made: ExitStack) -> list[Host]:
    """Hosts that have answered.

    Raises:
        OSError: there is no ``ip``.
        subprocess.SubprocessError: it may not make what they need, or hosts do not reach each other.
    """
    ip = shutil.which("ip")
    if ip is None:
        raise FileNotFoundError("ip")
    name, net = token_hex(3), f"10.{randbelow(64) + 160}.{randbelow(256)}"

    def run(*words: str) -> None:
        subprocess.run([ip, *words], check=True, capture_output=True, timeout=30)

    def remove(*words: str) -> None:
        made.callback(subprocess.run, [ip, *words], check=False, capture_output=True, timeout=30)

    bridge = f"gb{name}"
    run("link", "add", bridge, "type", "bridge")
    remove("link", "del", bridge)
    run("addr", "add", f"{net}.1/24", "dev", bridge)
    run("link", "set", bridge, "up")
    hosts = []
    for number in range(count):
        space, end, address = f"gn{name}-{number}", f"gv{name}-{number}", f"{net}.{number + 2}"
        run("netns", "add", space)
        remove("netns", "del", space)
        run("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("link", "set", end, "master", bridge, "up")
        inside = ("netns", "exec", space)
        run(*inside, ip, "link", "set", "lo", "up")
        run(*inside, ip, "addr", "add", f"{address}/24", "dev", "eth0")
        run(*inside, ip, "link", "set", "eth0", "up")
        run(*inside, ip, "route", "add", "default", "via", f"{net}.1")
        hosts.append(Host(address, (ip, *inside)))
    for asking in (Host(""), *hosts):
        command = [*asking.prefix, sys.executable, "-c", REACH, *(host.address for host in hosts)]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    return hosts

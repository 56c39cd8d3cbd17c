"""The process group of a training under Ray: over the network that Ray's nodes reach each other by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import psutil
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend
from ray.util import get_node_ip_address

INTERFACE: Final = "GLOO_SOCKET_IFNAME"
"""Network interfaces that Gloo is to listen at."""


@dataclass
class NodeTorchConfig(TorchConfig):
    """Ray Train's, whose workers listen where their nodes are known to Ray.

    Gloo would ask for the host's own name instead, which is the loopback address on many machines (Debian and Ubuntu
    write it so): workers on two of them never find each other.
    """

    @property
    def backend_cls(self) -> Any:
        """What sets the processes up."""
        return _NodeBackend


class _NodeBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(listen_at_node)
        super().on_start(worker_group, backend_config)


def listen_at_node() -> None:
    """Have Gloo listen at the interface with the address of this process's node, unless the user has named one."""
    if INTERFACE not in os.environ and (found := interface_of(get_node_ip_address())):
        os.environ[INTERFACE] = found


def interface_of(address: str) -> str | None:
    """The interface of this host that has an address; None where none has, as behind a translation of addresses."""
    every = psutil.net_if_addrs()
    return next((name for name, own in every.items() if address in (entry.address for entry in own)), None)

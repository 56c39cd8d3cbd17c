"""Workers listen where Ray knows their node, whatever the host's name stands for."""

from __future__ import annotations

import socket

import pytest

from gnnscale.pipeline.workers import process_group


def test_interfaces_are_found_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for _, name in socket.if_nameindex()]
    loopback = process_group.interface_of("127.0.0.1")
    assert loopback in names
    assert process_group.interface_of("192.0.2.7") is None

    # So that what is set below goes with the test.
    monkeypatch.setenv(process_group.INTERFACE, "")
    monkeypatch.delenv(process_group.INTERFACE)
    for address, expected in (("192.0.2.7", None), ("127.0.0.1", loopback), ("192.0.2.7", loopback)):
        monkeypatch.setattr(process_group, "get_node_ip_address", lambda address=address: address)
        process_group.listen_at_node()
        assert process_group.os.environ.get(process_group.INTERFACE) == expected
    monkeypatch.setenv(process_group.INTERFACE, "own0")
    process_group.listen_at_node()
    assert process_group.os.environ[process_group.INTERFACE] == "own0"

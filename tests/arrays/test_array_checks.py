"""Mapped arrays that a disk has changed are found, and made again."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gnnscale.arrays import array_checks, build_once, host_arrays
from gnnscale.arrays.array_checks import CHECKS, find_damage, write_checks


def write(folder: Path) -> None:
    np.save(folder / "times.npy", np.arange(300, dtype=np.int32))
    (folder / "deep").mkdir()
    (folder / "deep" / "kinds").write_bytes(bytes(range(251)))


def fill(made: list[int], turn: int, folder: Path) -> None:
    made.append(turn)
    write(folder)


def make(folder: Path) -> Path:
    folder.mkdir()
    write(folder)
    write_checks(folder)
    return folder


def test_every_turned_bit_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    assert find_damage(folder) is None
    for name in ("times.npy", "deep/kinds"):
        content = (folder / name).read_bytes()
        for place in range(len(content)):
            turned = bytearray(content)
            turned[place] ^= 1 << place % 8
            (folder / name).write_bytes(turned)
            assert find_damage(folder) == name, place
        (folder / name).write_bytes(content[:-8])
        assert find_damage(folder) == name
        (folder / name).unlink()
        assert find_damage(folder) == name
        (folder / name).write_bytes(content)
    for damaged in (b"", b"[]", b"\xff", b'{"times.npy": 3}'):
        (folder / CHECKS).write_bytes(damaged)
        assert find_damage(folder) == CHECKS
    # As a release without them has made it.
    (folder / CHECKS).unlink()
    assert find_damage(folder) is None


def test_of_much_sizes_alone_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "a")
    monkeypatch.setattr(array_checks, "READ_WHOLE", 100)
    content = (folder / "times.npy").read_bytes()
    (folder / "times.npy").write_bytes(content[:-1] + b"x")
    assert find_damage(folder) is None
    (folder / "times.npy").write_bytes(content[:-1])
    assert find_damage(folder) == "times.npy"


def test_what_is_damaged_is_made_again_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "a"
    made: list[int] = []
    for turn in range(4):
        monkeypatch.setattr(host_arrays, "_CHECKED", {})
        for _ in range(2):
            build_once(folder, partial(fill, made, turn))
        assert np.load(folder / "times.npy").tolist() == list(range(300))
        if turn == 1:
            with (folder / "times.npy").open("r+b") as file:
                file.seek(500)
                file.write(b"?")
    assert made == [0, 2]
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == f"{folder} is damaged (times.npy), and is made again"

"""Several processes that compile at once leave a cache in which each signature has its own code."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

from gnnscale.arrays import compiled_cache

SAVING = """
import json, sys, time
import numba
from numba.core.caching import IndexDataCacheFile

@numba.njit
def one(x):
    return x

one(1)
folder, own, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
wrong = 0
for number in range(rounds):
    if not sys.stdin.readline():
        break
    kept = IndexDataCacheFile(folder, f"f{number}", "stamp")
    # That of one takes longer to write.
    kept.save(own, own * (5_000_000 if own == "a" else 1))
    print("saved", flush=True)
    sys.stdin.readline()
    found = {key: kept.load(key) for key in ("a", "b")}
    wrong += any(value is not None and value[0] != key for key, value in found.items())
    print("read", flush=True)
print(json.dumps(wrong), flush=True)
"""
ROUNDS = 250


def test_numba_finds_it_by_its_entry_point():
    (found,) = [e for e in entry_points(group="numba_extensions", name="init") if e.value.startswith("gnnscale")]
    assert found.load() is compiled_cache.init


def test_each_signature_has_its_own_code_whoever_saves_beside_it(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVING, str(tmp_path), own, str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in ("a", "b")
    ]

    def every(word: str) -> None:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == f"{word}\n"

    def go() -> None:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    every("ready")
    for _ in range(ROUNDS):
        go()
        every("saved")
        go()
        every("read")
    said = [process.stdout.readline() for process in processes if process.stdout]
    assert [json.loads(line) for line in said] == [0, 0]
    assert [process.wait(30) for process in processes] == [0, 0]

"""Arrays of a host are built by one process, whole or not at all, and older versions of them go."""

import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnnscale.arrays.ended_processes import end_processes
from gnnscale.arrays.host_arrays import (
    KEPT,
    build_file_once,
    build_once,
    hold_built,
    name_folder,
    remove_abandoned,
    remove_older,
    scratch_folder,
)


def build_slowly(folder: Path, barrier: multiprocessing.Barrier, writers: multiprocessing.Queue) -> None:
    def write(made: Path) -> None:
        writers.put(os.getpid())
        time.sleep(0.3)
        (made / "a").write_text("whole")

    barrier.wait()
    assert (build_once(folder, write) / "a").read_text() == "whole"


def write_slowly(file: Path, barrier: multiprocessing.Barrier, writers: multiprocessing.Queue) -> None:
    def write(made: Path) -> None:
        writers.put(os.getpid())
        made.write_text("half")
        time.sleep(0.3)
        made.write_text("whole")

    barrier.wait()
    assert build_file_once(file, write).read_text() == "whole"


@pytest.mark.parametrize("build", [build_slowly, write_slowly])
def test_processes_that_want_the_same_arrays_build_them_once(tmp_path, build):
    context = multiprocessing.get_context("fork")
    barrier, writers = context.Barrier(3), context.Queue()
    others = [context.Process(target=build, args=(tmp_path / "k" / "arrays", barrier, writers)) for _ in range(3)]
    for process in others:
        process.start()
    for process in others:
        process.join()
    assert [process.exitcode for process in others] == [0, 0, 0]
    writers.get(timeout=5)
    assert writers.empty()


def test_what_fails_leaves_nothing_and_can_be_built_again(tmp_path):
    def fail(made: Path) -> None:
        (made / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build_once(tmp_path / "arrays", fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (build_once(tmp_path / "arrays", lambda made: (made / "a").touch()) / "a").exists()


def test_a_file_that_fails_is_built_again_over_what_was_left(tmp_path):
    def fail(made: Path) -> None:
        made.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build_file_once(tmp_path / "array", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".array.lock"]
    # As a process that was killed leaves it.
    (tmp_path / ".array.partial").write_text("half")
    assert build_file_once(tmp_path / "array", lambda made: made.write_text("whole")).read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".array.lock", "array"]


def test_only_the_latest_versions_of_the_same_arrays_stay(tmp_path):
    def version(owner: str, number: int) -> Path:
        folder = build_once(name_folder(tmp_path, "keys", owner, str(number)), lambda made: (made / "a").touch())
        os.utime(folder, ns=(number, number))
        return folder

    other = version("b", 1)
    mine = [version("a", number) for number in range(5)]
    remove_older(mine[-1])
    assert [folder.exists() for folder in mine] == [False] * (5 - KEPT) + [True] * KEPT
    assert other.exists() and not list(tmp_path.glob(f".{mine[0].name}*"))


def open_versions(folder: Path, seed: int) -> None:
    """Open versions of the same in any order, each of which clears the others away."""
    order = random.Random(seed)

    def write(made: Path) -> None:
        for part in range(20):
            (made / str(part)).write_text("whole")

    for _ in range(60):
        version = name_folder(folder, "index", "a", str(order.randrange(4)))
        with hold_built(version, write) as held:
            remove_older(held)
            assert [(held / str(part)).read_text() for part in range(20)] == ["whole"] * 20


def test_a_version_that_is_held_is_not_removed_by_others(tmp_path):
    first, second, third = (name_folder(tmp_path, "index", "a", str(number)) for number in range(3))
    with hold_built(first, lambda made: (made / "a").touch()):
        for folder in (second, third):
            build_once(folder, lambda made: (made / "a").touch())
        remove_older(third, kept=1)
        assert (first / "a").exists() and not second.exists()
    remove_older(third, kept=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [third.name]


def test_processes_open_versions_that_others_clear_away(tmp_path):
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=open_versions, args=(tmp_path, seed)) for seed in range(4)]
    for process in others:
        process.start()
    for process in others:
        process.join()
    assert [process.exitcode for process in others] == [0, 0, 0, 0]
    last = name_folder(tmp_path, "index", "a", "0")
    build_once(last, lambda made: (made / "a").touch())
    remove_older(last, kept=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [last.name]


def test_what_a_killed_process_had_begun_to_make_goes_and_what_is_being_made_stays(tmp_path):
    versions = [name_folder(tmp_path, "index", "a", str(number)) for number in range(3)]
    killed = tmp_path / f".{versions[0].name}.partial"
    killed.mkdir()
    (killed / "half").touch()

    def write(made: Path) -> None:
        (made / "a").touch()
        build_once(versions[2], lambda other: remove_older(versions[2], kept=1))
        assert (made / "a").exists()

    build_once(versions[1], write)
    assert not killed.exists() and (versions[1] / "a").exists()


def test_versions_that_only_another_user_may_remove_stay(tmp_path):
    if os.getuid() == 0:
        pytest.skip("root may remove everything")
    versions = [name_folder(tmp_path, "index", "a", str(number)) for number in range(4)]
    for folder in versions:
        folder.mkdir()
    tmp_path.chmod(0o500)
    try:
        remove_older(versions[-1])
    finally:
        tmp_path.chmod(0o700)
    assert all(folder.exists() for folder in versions)


def test_scratch_folders_are_of_one_process_each_and_what_a_killed_one_left_goes(tmp_path):
    with scratch_folder(tmp_path, "search", "a") as first:
        (first / "vectors.npy").write_bytes(b"1")
        with scratch_folder(tmp_path, "search", "a") as second, scratch_folder(tmp_path, "search", "b") as other:
            assert len({first, second, other}) == 3
            assert (first / "vectors.npy").exists(), "one that is in use stays"
        assert not second.exists() and not other.exists()
    assert not first.exists()
    left = tmp_path / (first.name.rpartition("-")[0] + "-left")
    left.mkdir()
    (left / "lock").touch()
    with scratch_folder(tmp_path, "search", "b"):
        assert left.exists()
    with scratch_folder(tmp_path, "search", "a"):
        assert not left.exists()


def test_a_scratch_folder_of_a_process_that_is_gone_goes_with_what_works_in_it(tmp_path):
    with scratch_folder(tmp_path, "ray", "") as kept:
        abandoned = tmp_path / "ray-abandoned"
        (abandoned / "logs").mkdir(parents=True)
        (abandoned / "lock").touch()
        (tmp_path / "ray-of-somebody").mkdir()
        code = "import time; print('up', flush=True); time.sleep(600)"
        process = subprocess.Popen([sys.executable, "-c", code, str(abandoned / "socket")], stdout=subprocess.PIPE)
        # Popen returns a moment before the command of the new process can be read.
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        # Agents of Ray have titles that name no folder; they write to its files. Who reads them only goes on.
        with (abandoned / "logs" / "agent.log").open("w") as sink, (abandoned / "lock").open() as read:
            titled = subprocess.Popen([sys.executable, "-c", code], stderr=sink)
            reader = subprocess.Popen([sys.executable, "-c", code], stdin=read, stdout=subprocess.DEVNULL)
        remove_abandoned(tmp_path, "*", end_processes)
        assert process.wait(10) == -9 and titled.wait(10) == -9 and not abandoned.exists()
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(0.5)
        reader.kill()
        reader.wait()
        assert kept.name.startswith("ray-") and kept.exists() and (tmp_path / "ray-of-somebody").exists()


OWNING = """
import os, sys, time
from pathlib import Path
from gnnscale.arrays.ended_processes import end_processes
from gnnscale.arrays.host_arrays import scratch_folder
end = time.monotonic() + 2
rounds = 0
while time.monotonic() < end:
    with scratch_folder(Path(sys.argv[1]), "ray", "", end_processes) as folder:
        with (folder / "agent.log").open("w"):
            for number in range(20):
                (folder / str(number)).touch()
        kept = (folder / "kept.log").open("w")
    rounds += 1
print(rounds)
"""
LOOKING = """
import sys, time
from pathlib import Path
from gnnscale.arrays.ended_processes import end_processes
from gnnscale.arrays.host_arrays import remove_abandoned
end = time.monotonic() + 2
rounds = 0
while time.monotonic() < end:
    remove_abandoned(Path(sys.argv[1]), "*", end_processes)
    rounds += 1
print(rounds)
"""


def test_who_looks_for_what_was_left_and_who_ends_a_folder_leave_each_other_alone(tmp_path):
    commands = [[sys.executable, "-c", code, str(tmp_path)] for code in (OWNING, LOOKING, LOOKING)]
    # Their commands name the folder that folders are in, and none of these.
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert all(int(rounds) > 20 for rounds in said)
    assert not list(tmp_path.glob("ray-*"))


def test_a_fork_of_who_owns_a_folder_outlives_it(tmp_path):
    with scratch_folder(tmp_path, "ray", "", end_processes) as folder, (folder / "session.log").open("w"):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    time.sleep(0.2)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, 9)
    os.waitpid(child, 0)

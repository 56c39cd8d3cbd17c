"""A campaign of faults: ``python -m tests.faults.campaign --faults 200 --seed 0 --table faults.md``.

Every fault strikes one stage of one question at a moment that the seed decides. Then the stage runs again, and its
tables are compared with those of a run that nothing has struck.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.faults import FAULTS, Fault
from tests.faults.runs import Place, copy_lake, digest_tables
from tests.faults.tables import STAGES, write_recipe, write_tables

END_SECONDS = 15.0
"""That a run which was told to end has, with a busy machine's allowance; processes of a killed one have as long."""

DISK_MIB = 400


@dataclass
class Unbroken:
    """A run of all stages that nothing has struck.

    Args:
        kind: of question.
        folder: of the tables and of a copy of the lake before, and after, each stage.
        seconds: stage -> how long it took.
        tables: stage -> digests of all tables after it.
    """

    kind: str
    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def recipe(self) -> Path:
        return self.folder / f"{self.kind}.yaml"

    def before(self, stage: str) -> Path:
        """The lake before a stage; none where it is the first."""
        place = STAGES[self.kind].index(stage)
        return self.folder / f"{self.kind}-{STAGES[self.kind][place - 1] if place else 'nothing'}"


@dataclass(frozen=True)
class Outcome:
    """What came of one fault."""

    number: int
    kind: str
    stage: str
    fault: str
    moment: float
    status: int | None
    ended: float
    rerun: int
    equal: bool
    processes: int
    left: tuple[str, ...]
    said: str
    wrong: tuple[str, ...]

    @property
    def row(self) -> str:
        """Of the table."""
        cells = (
            *(str(cell) for cell in (self.number, self.kind, self.stage, self.fault, f"{self.moment:.1f} s")),
            *(str(cell) for cell in (self.status, f"{self.ended:.1f} s", self.rerun, "yes" if self.equal else "NO")),
            *(str(cell) for cell in (self.processes, " ".join(self.left) or "none", "; ".join(self.wrong) or "held")),
        )
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| # | question | stage | fault | at | status | ended in | rerun | tables equal | processes left | files left "
    "| verdict |\n|--:|---|---|---|--:|--:|--:|--:|---|--:|---|---|"
)


SUMMARY_HEAD = (
    "| fault | struck | in stages | ended by it | in, median and most | tables equal | processes, files left "
    "| held |\n|---|--:|---|--:|--:|--:|--:|--:|"
)


def summarise(rows: list[str]) -> str:
    """A table of the kinds of faults, from the rows of all.

    Args:
        rows: as of :attr:`Outcome.row`.
    """
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    lines, order = [SUMMARY_HEAD], dict.fromkeys(itertools.chain.from_iterable(STAGES.values()))
    for fault in (*(fault.name for fault in FAULTS if any(row[3] == fault.name for row in cells)), ""):
        own = [row for row in cells if fault in ("", row[3])]
        stages = [stage for stage in order if any(row[2] == stage for row in own)]
        ended = sorted(float(row[6].removesuffix(" s")) for row in own if row[5] != "0")
        lines.append(
            "| {} | {} | {} | {} | {} | {} | {}, {} | {} |".format(
                fault or "all",
                len(own),
                ", ".join(stages) if fault else "",
                len(ended),
                f"{ended[len(ended) // 2]:.1f} s, {ended[-1]:.1f} s" if ended else "",
                sum(row[8] == "yes" for row in own),
                sum(int(row[9]) for row in own),
                sum(row[10] != "none" for row in own),
                sum(row[11] == "held" for row in own),
            )
        )
    return "\n".join(lines)


def run_unbroken(folder: Path, kind: str, tmp: Path, stages: tuple[str, ...] | None = None) -> Unbroken:
    """Run the stages of a question, one after the other, and keep the lake after each."""
    found = Unbroken(kind, folder)
    write_recipe(folder, kind)
    place = Place(found.recipe, folder / f"{kind}-lake", tmp)
    for stage in stages or STAGES[kind]:
        log = folder / f"{kind}-{stage}.log"
        status, found.seconds[stage] = place.run(stage, log)
        assert status == 0, log.read_text()[-5000:]
        found.tables[stage] = digest_tables(place.lake)
        copy_lake(place.lake, folder / f"{kind}-{stage}")
    return found


def strike(unbroken: Unbroken, stage: str, fault: Fault, moment: float, number: int, folder: Path) -> Outcome:
    """Do a fault to a stage some seconds after its start, run the stage again, and look at what there is then.

    Args:
        unbroken: run of the same question.
        stage: that is struck.
        fault: what is done.
        moment: seconds after the start.
        number: of the fault.
        folder: to work in, of a short path.
    """
    place = Place(unbroken.recipe, folder / f"lake-{number}", folder / "t")
    place.tmp.mkdir(exist_ok=True)
    log = folder / f"struck-{number}.log"
    copy_lake(unbroken.before(stage), place.lake)
    process = _start_on_small_disk(place, stage, fault.full, moment, log) if fault.full else place.start(stage, log)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        struck = fault.strike(process.pid)
    else:
        struck = False
    started = time.monotonic()
    unbounded = not struck or fault.full or 0 in fault.statuses
    try:
        status: int | None = process.wait(600 if unbounded else END_SECONDS)
    except subprocess.TimeoutExpired:
        status = None
    ended = time.monotonic() - started
    left = place.wait_for_end(0 if status is None else END_SECONDS) if fault.name != "kill" else []
    said = log.read_text()
    wrong = _faults_of_end(fault, struck, status, said)
    if left:
        wrong.append(f"{len(left)} processes lived")
        place.kill_all()
    rerun, _ = place.run(stage, folder / f"rerun-{number}.log")
    equal = rerun == 0 and digest_tables(place.lake) == unbroken.tables[stage]
    processes, files = len(place.wait_for_end(END_SECONDS)), tuple(place.left())
    place.kill_all()
    if rerun != 0:
        wrong.append("the rerun failed")
    elif not equal:
        wrong.append("other tables")
    wrong += [f"{processes} processes left"] if processes else []
    wrong += ["files left"] if files else []
    if not wrong:
        shutil.rmtree(place.lake)
        log.unlink()
        (folder / f"rerun-{number}.log").unlink()
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return Outcome(
        number,
        unbroken.kind,
        stage,
        fault.name,
        moment,
        status,
        ended,
        rerun,
        equal,
        processes,
        files,
        last,
        tuple(wrong),
    )


def _faults_of_end(fault: Fault, struck: bool, status: int | None, said: str) -> list[str]:
    """What was wrong with how a struck run has ended."""
    if status is None:
        return [f"lived {END_SECONDS:.0f} s longer"]
    # A moment may come after the work is done, or before there is what is struck.
    allowed = {0, *fault.statuses} if struck else {0}
    wrong = [] if status in allowed else [f"status {status}"]
    if "Traceback" in said:
        wrong.append("a traceback")
    lines = [line for line in said.splitlines() if line.startswith(("error: ", "interrupted: ", "terminated: "))]
    if status in (1, 2, 130, 143) and len(lines) != 1:
        wrong.append(f"{len(lines)} lines of what happened")
    return wrong


def _start_on_small_disk(place: Place, stage: str, full: str, moment: float, log: Path) -> subprocess.Popen[bytes]:
    """Start a stage where the lake, or the temporary folder, is a small disk of its own that is full at a moment.

    The disk is seen by the run alone; what the lake holds at the end is put back in its place.
    """
    disk = place.lake if full == "lake" else place.tmp
    disk.mkdir(exist_ok=True)
    script = f"""
        cp -a {disk}/. {disk}.copy 2>/dev/null || mkdir -p {disk}.copy
        mount -t tmpfs -o size={DISK_MIB}m tmpfs {disk} && cp -a {disk}.copy/. {disk}
        (sleep {moment:.2f}; cat /dev/zero > {disk}/filler 2>/dev/null) &
        "$@"; status=$?
        kill $! 2>/dev/null; wait $! 2>/dev/null
        rm -f {disk}/filler; rm -rf {disk}.copy; cp -a {disk} {disk}.copy; umount {disk}
        rm -rf {disk}; mv {disk}.copy {disk}
        exit $status
    """
    return place.start(stage, log, ["unshare", "-rm", "sh", "-c", script, "sh"])


def has_small_disks() -> bool:
    """Whether this user can make a disk of its own."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", folder]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def plan_faults(count: int, seed: int, unbroken: dict[str, Unbroken]) -> Iterator[tuple[Unbroken, str, Fault, float]]:
    """So many faults: every kind of every stage in turn, in an order and at moments that the seed decides."""
    rng = random.Random(seed)
    disks = has_small_disks()
    cells = [
        (run, stage, fault)
        for run in unbroken.values()
        for stage in run.seconds
        for fault in FAULTS
        if fault.suits(stage) and (disks or not fault.full)
    ]
    done = 0
    while done < count:
        rng.shuffle(cells)
        for run, stage, fault in cells[: count - done]:
            yield run, stage, fault, rng.uniform(0.02, 1.0) * run.seconds[stage]
            done += 1


def main() -> int:
    """Run a campaign from the command line.

    Returns:
        1 where a fault did what it should not.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--first", type=int, default=1, help="number to go on from")
    parser.add_argument("--only", type=int, nargs="+", help="numbers to do, in place of all from the first")
    parser.add_argument("--table", type=Path, help="gets the table of all faults")
    options = parser.parse_args()
    if options.table:
        options.table.parent.mkdir(parents=True, exist_ok=True)
    # At a low priority: a campaign of hours leaves the machine to others.
    os.nice(10)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # Of a short path, since Ray's sockets are below it.
    with tempfile.TemporaryDirectory(prefix="gf-", dir="/tmp") as name:
        folder = Path(name)
        write_tables(folder, options.seed)
        (folder / "t").mkdir()
        # Whatever ends the campaign, nothing of its runs outlives it.
        end = ExitStack()
        end.callback(Place(folder, folder, folder / "t").kill_all)
        with end:
            outcomes = _run_all(options, folder)
    bad = [outcome for outcome in outcomes if outcome.wrong]
    rows = list(_read_rows(options.table).values()) or [outcome.row for outcome in outcomes]
    sys.stdout.write(f"{summarise(rows)}\n{len(outcomes)} faults, {len(bad)} of which did what they should not\n")
    return 1 if bad else 0


def _read_rows(table: Path | None) -> dict[int, str]:
    """Number of each fault in a table -> its row."""
    lines = table.read_text().splitlines()[2:] if table and table.exists() else []
    return {int(line.split("|")[1]): line for line in lines}


def _run_all(options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """Do all faults, and write the table after each, for a campaign that is itself interrupted."""
    unbroken = {kind: run_unbroken(folder, kind, folder / "t") for kind in options.kinds}
    outcomes: list[Outcome] = []
    # One that goes on keeps the rows that are there.
    rows = _read_rows(options.table) if options.first > 1 or options.only else {}
    for number, (run, stage, fault, moment) in enumerate(plan_faults(options.faults, options.seed, unbroken), 1):
        if number not in options.only if options.only else number < options.first:
            continue
        outcomes.append(strike(run, stage, fault, moment, number, folder))
        rows[number] = outcomes[-1].row
        sys.stdout.write(f"{rows[number]}  {outcomes[-1].said[:160] if outcomes[-1].wrong else ''}\n")
        sys.stdout.flush()
        if options.table:
            options.table.write_text("\n".join([HEAD, *(row for _, row in sorted(rows.items()))]) + "\n")
    return outcomes


if __name__ == "__main__":
    sys.exit(main())

"""What a campaign of faults says of all of them."""

from tests.faults.campaign import Outcome, summarise
from tests.faults.faults import FAULTS


def outcome(number, fault, status, seconds, processes=0, wrong=()):
    return Outcome(number, "links", "train", fault, 2.0, status, seconds, 0, not wrong, processes, (), "", wrong)


def test_kinds_of_faults_are_summed_up():
    rows = [
        outcome(1, "kill", -9, 0.1).row,
        outcome(2, "kill", 0, 0.5, 2, ("2 processes left",)).row,
        outcome(3, "terminate", 143, 1.5).row,
    ]
    lines = summarise(rows).splitlines()[2:]
    assert lines[0] == "| kill | 2 | train | 1 | 0.1 s, 0.1 s | 1 | 2, 0 | 1 |"
    assert lines[1] == "| terminate | 1 | train | 1 | 1.5 s, 1.5 s | 1 | 0, 0 | 1 |"
    assert lines[2] == "| all | 3 |  | 2 | 1.5 s, 1.5 s | 2 | 2, 0 | 2 |"
    assert {"kill", "terminate"} <= {fault.name for fault in FAULTS}

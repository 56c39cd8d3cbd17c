"""Work made ahead comes in order, and its threads have cores of their own."""

import threading
from functools import partial

import pytest

from gnnscale.arrays.prefetch import compute_threads, prefetched
from gnnscale.arrays.threads import share_rows


@pytest.mark.parametrize("prefetch", [0, 1, 3, 50])
def test_results_come_in_the_order_of_the_jobs(prefetch):
    assert list(prefetched((partial(pow, i, 2) for i in range(20)), prefetch)) == [i * i for i in range(20)]


def test_one_thread_does_the_work_ahead():
    found = set(prefetched((threading.get_ident for _ in range(9)), 2))
    assert len(found) == 1 and threading.get_ident() not in found
    assert set(prefetched((threading.get_ident for _ in range(9)), 0)) == {threading.get_ident()}


@pytest.mark.parametrize(("prefetch", "threads"), [(2, 2), (4, 3), (2, 9)])
def test_several_threads_do_whole_jobs_and_share_the_rows_of_none(prefetch, threads):
    meeting = threading.Barrier(min(prefetch, threads))

    def job(number):
        meeting.wait(30)
        stretches = []
        share_rows(100, 4, stretches.append)
        return number, stretches

    count = 3 * meeting.parties
    jobs = (partial(job, number) for number in range(count))
    assert list(prefetched(jobs, prefetch, threads)) == [(number, [slice(0, 100)]) for number in range(count)]
    stretches = []
    share_rows(100, 4, stretches.append)
    assert len(stretches) == 4


def test_what_a_job_raises_is_raised_where_its_result_is_asked_for():
    results = prefetched((partial(divmod, 6, i) for i in (3, 2, 0, 1)), 3)
    assert [next(results), next(results)] == [(2, 0), (3, 0)]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize(
    ("cores", "prefetch", "samplers", "threads"), [(2, 2, 1, 1), (2, 0, 2, 2), (8, 2, 2, 6), (1, 2, 1, 1), (4, 1, 9, 1)]
)
def test_the_network_leaves_the_loader_its_cores(cores, prefetch, samplers, threads):
    assert compute_threads(cores, prefetch, samplers) == threads

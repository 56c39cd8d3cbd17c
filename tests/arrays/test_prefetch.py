"""Work made ahead comes in order, and its threads have cores of their own."""

import threading
from functools import partial

import pytest

from gnnscale.arrays.prefetch import compute_threads, prefetched


@pytest.mark.parametrize("prefetch", [0, 1, 3, 50])
def test_results_come_in_the_order_of_the_jobs(prefetch):
    assert list(prefetched((partial(pow, i, 2) for i in range(20)), prefetch)) == [i * i for i in range(20)]


def test_one_thread_does_the_work_ahead():
    found = set(prefetched((threading.get_ident for _ in range(9)), 2))
    assert len(found) == 1 and threading.get_ident() not in found
    assert set(prefetched((threading.get_ident for _ in range(9)), 0)) == {threading.get_ident()}


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

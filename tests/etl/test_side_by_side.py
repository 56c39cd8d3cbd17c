"""Works of Spark that don't depend on each other are under way at once, in the session of who asked for them."""

import threading

import pytest

from gnnscale.etl.spark.side_by_side import run_side_by_side


def test_works_are_under_way_at_once_and_come_back_in_their_order(spark):
    met = threading.Barrier(2, timeout=60)

    def work(rows):
        met.wait()
        own = spark._jvm.SparkSession.getActiveSession().get().equals(spark._jsparkSession)
        return spark.range(rows).count(), own

    assert run_side_by_side([lambda: work(3), lambda: work(2)]) == [(3, True), (2, True)]
    assert run_side_by_side([]) == []


def test_the_first_fault_in_their_order_is_raised_when_nothing_is_under_way_any_more(spark):
    failed, ended = threading.Event(), []

    def later_fault():
        assert failed.wait(60)
        ended.append("late")
        raise ValueError("first of them")

    def earlier_fault():
        failed.set()
        raise KeyError("second of them")

    with pytest.raises(ValueError, match="first of them"):
        run_side_by_side([later_fault, earlier_fault])
    assert ended == ["late"]

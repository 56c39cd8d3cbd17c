"""A fault in the input that a worker finds is the error that the driver raises, of its class and in its words."""

from __future__ import annotations

import pytest
from ray.exceptions import RayTaskError
from ray.train import TrainingFailedError

from gnnscale.pipeline.workers.ray_train import input_fault
from gnnscale.schema import ConfigError, DataError, QueryError


@pytest.mark.parametrize("fault", [ConfigError("no such loss"), DataError("no example"), QueryError("odd", "a b", 2)])
def test_a_fault_keeps_its_class_and_words(fault: Exception) -> None:
    assert input_fault(fault) is fault
    wrapped = RayTaskError("train", "Traceback ...", fault)
    for failure in (wrapped, wrapped.as_instanceof_cause()):
        found = input_fault(failure)
        assert type(found) is type(fault) and str(found) == str(fault)


def test_what_is_no_fault_of_the_input_stays_what_it_is() -> None:
    for failure in (RuntimeError("lost"), TrainingFailedError("lost"), RayTaskError("train", "", KeyError("a"))):
        assert input_fault(failure) is None

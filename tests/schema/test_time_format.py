"""Formats of times are known, and what numbers and texts look like is told."""

import pytest

from gnnscale.schema import SchemaError, Table, epoch_unit, fitting_formats, looks_like_epochs, spark_pattern

PATTERNS = {
    "%d/%m/%Y %H:%M": "d'/'M'/'yyyy' 'H':'m",
    "%Y%m%d": "yyyyMMdd",
    "%Y%m": "yyyyMM",
    "%Y-%m-%dT%H:%M:%S.%f%z": "yyyy'-'M'-'d'T'H':'m':'s'.'SSSSSSXX",
    "%d %b %y": "d' 'MMM' 'yy",
}


@pytest.mark.parametrize(("given", "pattern"), PATTERNS.items())
def test_a_pattern_is_that_of_spark(given, pattern):
    assert spark_pattern(given) == pattern


@pytest.mark.parametrize("given", ["", "%H:%M", "%Q", "dd/MM/yyyy", "%Y%"])
def test_a_pattern_that_is_none_is_told_with_what_is_allowed(given):
    with pytest.raises(SchemaError, match=r"seconds, milliseconds.*'%d/%m/%Y %H:%M'"):
        spark_pattern(given)
    if given:
        with pytest.raises(SchemaError, match="table 't'"):
            Table("t", time_format=given)


NOW = 1_706_659_200


@pytest.mark.parametrize(
    ("parts", "unit"), [(1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")]
)
def test_the_unit_of_numbers_follows_from_their_range(parts, unit):
    assert epoch_unit(NOW * parts, (NOW + 86_400) * parts) == unit
    assert looks_like_epochs(NOW * parts, (NOW + 86_400) * parts)
    assert epoch_unit(0, 100) == epoch_unit(-5, NOW) == "seconds"


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (20240131, 20240229, "time_format='%Y%m%d'"),
        (202401, 202412, "time_format='%Y%m'"),
        (1950, 2023, "time_format='%Y'"),
        (NOW, NOW * 1000, "one unit"),
    ],
)
def test_numbers_that_may_be_something_else_are_refused(low, high, says):
    with pytest.raises(SchemaError, match=says):
        epoch_unit(low, high)
    assert not looks_like_epochs(low, high)


def test_formats_that_texts_fit_are_found():
    assert fitting_formats(["12/01/2010 08:26"]) == ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"]
    assert fitting_formats(["12/31/2010 8:26"]) == ["%m/%d/%Y %H:%M"]
    assert fitting_formats(["20240131"]) == ["%Y%m%d"] and fitting_formats(["202401"]) == ["%Y%m"]
    assert fitting_formats(["soon"]) == fitting_formats([]) == []

"""Frames of Spark's catalog are found by names, and a name that can be none is not an error of Spark."""

import pytest

from gnnscale.etl.sources.spark_frames import catalog_frame


def test_a_view_of_the_catalog_is_found_by_its_name(spark):
    spark.range(3).createOrReplaceTempView("three_rows")
    frame = catalog_frame(spark, "three_rows")
    assert frame is not None and frame.count() == 3


@pytest.mark.parametrize("name", ["nothing", "no.such", "no.such.name.at_all", "my table!", "1;2", "'", ""])
def test_a_name_of_nothing_is_none(spark, name):
    assert catalog_frame(spark, name) is None

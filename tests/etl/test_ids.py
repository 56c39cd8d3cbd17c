"""Node ids of facts are dense and a function of the rows alone."""

from pyspark.sql import functions as F

from gnnscale.etl.ids.assign_ids import ROW_ID, add_node_ids
from gnnscale.etl.sources.raw_tables import TIME, RawTable
from gnnscale.schema import Table
from tests.etl.frames import raw_table, shuffled

FACTS = Table("facts", time_column="t")


def numbered(raw: RawTable, ranges: int, *columns: str) -> list[tuple]:
    rows = add_node_ids(raw, ranges).select(ROW_ID, *columns).collect()
    assert sorted(row[0] for row in rows) == list(range(len(rows)))
    return sorted(tuple(row) for row in rows)


def test_facts_are_numbered_by_time_whatever_the_order_and_ranges(spark):
    times = [(i * 37) % 11 for i in range(60)]
    raw = raw_table(spark, FACTS, times, x=[i // 2 for i in range(60)])
    expected = numbered(raw, 1, TIME, "x")
    assert [row[1] for row in expected] == sorted(times)
    for ranges, parts in ((3, 1), (8, 3)):
        again = RawTable(FACTS, shuffled(raw.frame, parts))
        assert numbered(again, ranges, TIME, "x") == expected


def test_rows_that_are_the_same_in_every_column_each_get_an_id(spark):
    raw = raw_table(spark, FACTS, [5] * 12, x=["same"] * 12)
    assert len(numbered(raw, 4, "x")) == 12


def test_facts_without_a_time_are_numbered_too(spark):
    raw = raw_table(spark, Table("facts"), x=[f"{i % 5}" for i in range(20)])
    expected = numbered(raw, 1, "x")
    assert numbered(RawTable(raw.table, shuffled(raw.frame, 3)), 5, "x") == expected


def test_rows_that_differ_only_in_which_column_is_null_keep_their_ids(spark):
    # Hashes of a row pass over nulls, so (1, null) and (null, 1) have the same one.
    rows = [(float(i // 2), None) if i % 2 else (None, float(i // 2)) for i in range(40)]
    raw = raw_table(spark, FACTS, [5] * 40, x=[row[0] for row in rows], y=[row[1] for row in rows])

    def ids(order: str) -> list[tuple]:
        frame = raw.frame.orderBy(order).coalesce(1)
        found = add_node_ids(RawTable(FACTS, frame), 1)
        return sorted((row[ROW_ID], str(row.x), str(row.y)) for row in found.collect())

    assert ids("x") == ids("y")


def test_one_row_and_more_ranges_than_rows(spark):
    raw = raw_table(spark, FACTS, [7], x=["only"])
    assert numbered(raw, 16, "x") == [(0, "only")]
    assert add_node_ids(raw, 4).schema[ROW_ID].dataType.simpleString() == "bigint"
    assert add_node_ids(raw, 4).columns == ["x", TIME, ROW_ID]
    assert add_node_ids(RawTable(raw.table, raw.frame.where(F.lit(False))), 4).count() == 0

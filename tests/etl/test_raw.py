"""Raw rows get their keys and their times in whole seconds, rounded up; what is no time is an error."""

import gzip
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.etl.sources.raw_tables import END, TIME, column_kinds, find_sources, read_raw_tables
from gnnscale.schema import DataError, GnnscaleError, GraphSchema, LakeError, SchemaError, Table, ValueKind

NEW_YEAR = 1_704_067_200


@pytest.fixture
def place(tmp_path):
    """Writes a table's columns to Parquet and returns its source."""

    def write(name: str, **columns: Any) -> str:
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        return str(path)

    return write


def read(spark, *tables: Table):
    graph = GraphSchema(list(tables))
    return read_raw_tables(spark, graph, find_sources(graph, {}), {})


def people(place, **columns: Any) -> Table:
    return Table("people", place("people", pid=[1, 2], **columns), primary_key="pid")


def facts_times(spark, place, column: Any) -> list[int]:
    rows = len(column)
    source = place("facts", pid=[1] * rows, i=list(range(rows)), at=column)
    raw = read(spark, people(place), Table("facts", source, time_column="at"))
    return [row[TIME] for row in raw["facts"].frame.orderBy("i").collect()]


TIMES = {
    "timestamps with zone": (
        pa.array([datetime(2024, 1, 1, 0, 0, 0, micros, tzinfo=UTC) for micros in (0, 1, 500_000)]),
        [0, 1, 1],
    ),
    "timestamps without zone": (pa.array([datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 1)]), [0, 1]),
    "before 1970": (pa.array([datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)]), [-NEW_YEAR]),
    "dates": (pa.array([date(2024, 1, 1), date(2024, 1, 2)]), [0, 86_400]),
    "text": (
        ["2024-01-01", "2024-01-01 00:00:00.25", "2024-01-01T01:00:00Z", "2024-01-01T01:00:00+01:00"],
        [0, 1, 3_600, 0],
    ),
    "seconds": ([NEW_YEAR, NEW_YEAR + 5], [0, 5]),
    "seconds and parts": ([NEW_YEAR + 0.0, NEW_YEAR + 0.5, NEW_YEAR - 0.5], [0, 1, 0]),
}


@pytest.mark.parametrize(("column", "expected"), TIMES.values(), ids=TIMES)
def test_times_are_whole_seconds_rounded_up(spark, place, column, expected):
    assert [time - NEW_YEAR for time in facts_times(spark, place, column)] == expected


WRITTEN = {
    "milliseconds": ([NEW_YEAR * 1_000, NEW_YEAR * 1_000 + 1], None, [0, 1]),
    "microseconds": ([NEW_YEAR * 10**6, NEW_YEAR * 10**6 + 1], None, [0, 1]),
    "nanoseconds": ([NEW_YEAR * 10**9, NEW_YEAR * 10**9 + 1], None, [0, 1]),
    "milliseconds as said": ([-1, 1_500], "milliseconds", [-NEW_YEAR, 2 - NEW_YEAR]),
    "month first": (["1/01/2024 00:01", "01/2/2024 0:00"], "%m/%d/%Y %H:%M", [60, 86_400]),
    "days as numbers": ([20240101, 20240102], "%Y%m%d", [0, 86_400]),
    "months as text": (["202401", "202402"], "%Y%m", [0, 31 * 86_400]),
    "years": ([2024, 2023], "%Y", [0, -365 * 86_400]),
    "nanoseconds of a type": (pa.array([NEW_YEAR * 10**9, NEW_YEAR * 10**9 + 1], pa.timestamp("ns")), None, [0, 1]),
}


def test_times_are_read_as_they_are_written(spark, place):
    tables, expected = [people(place)], {}
    for number, (column, form, seconds) in enumerate(WRITTEN.values()):
        source = place(f"facts{number}", pid=[1] * len(column), i=list(range(len(column))), at=column)
        tables.append(Table(f"facts{number}", source, time_column="at", time_format=form))
        expected[f"facts{number}"] = [NEW_YEAR + second for second in seconds]
    raw = read(spark, *tables)
    found = {name: [row[TIME] for row in raw[name].frame.orderBy("i").collect()] for name in expected}
    assert found == expected


def test_sources_of_every_kind_are_read_alike_in_tasks_and_in_memory(spark, tmp_path, place):
    from deltalake import write_deltalake

    from gnnscale.lake import read_rows

    for folder in ("path-[1]", "path-1"):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"pid": [1], "folder": [folder]}), tmp_path / folder / "t.parquet")
    (tmp_path / "odd.csv").write_text('pid,said\n1,"a ""b"", c"\n2,"two\nlines"\n')
    chan = pa.table({"pid": [1, 2, 1], "chan": ["é", "a b", None]})
    write_deltalake(str(tmp_path / "log"), chan, partition_by=["chan"])
    (tmp_path / "grown").mkdir()
    pq.write_table(pa.table({"pid": pa.array([1], pa.int32())}), tmp_path / "grown" / "a")
    pq.write_table(pa.table({"pid": [2], "new": [0.5]}), tmp_path / "grown" / "b.parquet")
    (tmp_path / "days" / "day=2024-01-31").mkdir(parents=True)
    pq.write_table(pa.table({"pid": [1]}), tmp_path / "days" / "day=2024-01-31" / "a.parquet")
    places = {"one": "path-[1]/t.parquet", "two": "odd.csv", "three": "log", "four": "grown", "five": "days"}
    tables = [Table(name, str(tmp_path / path)) for name, path in places.items()]
    graph = GraphSchema([people(place), *tables])
    sources = find_sources(graph, {})
    raw = read_raw_tables(spark, graph, sources, {})
    for name in places:
        found = raw[name].frame.drop(TIME).toArrow().to_pylist()
        assert sorted(found, key=str) == sorted(read_rows(sources[name]).to_pylist(), key=str)
    assert [row["folder"] for row in raw["one"].frame.collect()] == ["path-[1]"]
    assert {row["chan"] for row in raw["three"].frame.collect()} == {"é", "a b", None}


BAD_TIMES = {
    "text": (["2024-01-01", "soon"], "1 values are not times, such as 'soon'"),
    "seconds as text": (["1704067200.5"], "'1704067200.5'"),
    "null": (pa.array([NEW_YEAR, None], pa.int64()), "such as null"),
    "truth": ([True], "is of type boolean"),
    "nan": (pa.array([NEW_YEAR + 0.0, float("nan")]), "1 values are not times"),
    "a time of a day": (["2024-01-01", "10:15:00"], "1 values are not times, such as '10:15:00'"),
    "month first": (["12/31/2010 08:26"], "tables.facts.time_format='%m/%d/%Y %H:%M'"),
    "days as numbers": ([20240131, 20240201], "time_format='%Y%m%d'"),
    "two units": ([NEW_YEAR, NEW_YEAR * 1000], "one unit"),
}


@pytest.mark.parametrize(("column", "says"), BAD_TIMES.values(), ids=BAD_TIMES)
def test_what_is_no_time_is_an_error_that_names_the_column(spark, place, column, says):
    with pytest.raises(DataError, match=rf"time column facts\.at.*{says}"):
        facts_times(spark, place, column)


ENDS = {
    "timestamps": (
        pa.array([datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None, datetime(2024, 1, 1)], pa.timestamp("us")),
        [1, None, 0],
    ),
    "dates": (pa.array([date(2024, 1, 2), None, date(2024, 1, 1)]), [86_400, None, 0]),
    "text": (pa.array(["2024-01-01 00:00:00.25", None, "2024-01-01"]), [1, None, 0]),
    "seconds": (pa.array([NEW_YEAR + 0.5, None, NEW_YEAR - 1.5]), [1, None, -1]),
    "none": (pa.array([None, None, None], pa.timestamp("us")), [None] * 3),
}


def people_who_end(spark, place, column: Any) -> list[int | None]:
    source = place("people", pid=[1, 2, 3], until=column)
    table = Table("people", source, primary_key="pid", end_time="until")
    raw = read(spark, table, Table("facts", place("facts", pid=[1])))
    assert END not in raw["facts"].frame.columns
    return [row[END] for row in raw["people"].frame.orderBy("pid").collect()]


@pytest.mark.parametrize(("column", "expected"), ENDS.values(), ids=ENDS)
def test_ends_are_whole_seconds_rounded_up_and_may_be_missing(spark, place, column, expected):
    found = people_who_end(spark, place, column)
    assert [None if end is None else end - NEW_YEAR for end in found] == expected


BAD_ENDS = {
    "text": (["2024-01-01", "never", None], "1 values are not times, such as 'never'"),
    "truth": ([True, None, None], "is of type boolean"),
    "nan": (pa.array([NEW_YEAR + 0.0, float("nan"), None]), "1 values are not times"),
}


@pytest.mark.parametrize(("column", "says"), BAD_ENDS.values(), ids=BAD_ENDS)
def test_what_is_no_end_is_an_error_that_names_the_column(spark, place, column, says):
    with pytest.raises(DataError, match=rf"time column people\.until.*{says}"):
        people_who_end(spark, place, column)


def test_an_end_column_that_is_not_there_names_the_nearest(spark, place):
    table = people(place, until=[1, 2])
    with pytest.raises(SchemaError, match=r"'people' has no column 'untill'. Did you mean 'until'"):
        read(spark, Table("people", table.source, primary_key="pid", end_time="untill"))


def test_rows_that_only_facts_mention_have_no_end(spark, place):
    source = place("people", pid=["a"], until=[NEW_YEAR])
    table = Table("people", source, primary_key="pid", end_time="until", keys_from=("facts.pid",))
    raw = read(spark, table, Table("facts", place("facts", pid=["a", "b"])))
    assert {row["pid"]: row[END] for row in raw["people"].frame.collect()} == {"a": NEW_YEAR, "b": None}


def test_kinds_are_those_of_the_raw_columns(spark, place):
    source = place(
        "people",
        pid=[1],
        label=["a"],
        score=[1.5],
        price=pa.array([1], pa.decimal128(9, 2)),
        vip=[True],
        born=[date(2024, 1, 1)],
        since=pa.array([datetime(2024, 1, 1)]),
        tags=[["x"]],
        point=[[0.5]],
        marks=[[1]],
    )
    table = Table("people", source, primary_key="pid", time_column="since", end_time="born")
    raw = read(spark, table, Table("facts", place("facts", pid=[1])))
    number, text, time = ValueKind.NUMBER, ValueKind.TEXT, ValueKind.TIME
    assert column_kinds(raw["people"].frame) == {
        "pid": number,
        "label": text,
        "score": number,
        "price": number,
        "vip": ValueKind.BOOLEAN,
        "born": time,
        "since": time,
        "tags": ValueKind.TEXTS,
        "point": ValueKind.VECTOR,
        "marks": ValueKind.OTHER,
    }


def test_rows_without_a_time_column_always_hold(spark, place):
    raw = read(spark, people(place), Table("facts", place("facts", pid=[1, 2])))
    assert [row[TIME] for row in raw["facts"].frame.collect()] == [None, None]


def mailings(place, campaigns: Table, *more: Table) -> list[Table]:
    source = place("mailings", mid=[1, 2, 3, 4], cid=pa.array([1, 2, 9, None], pa.int64()))
    return [
        campaigns,
        Table("mailings", source, primary_key="mid", foreign_keys={"cid": "campaigns"}, time_from="cid"),
        *more,
    ]


def campaigns(place) -> Table:
    source = place("campaigns", cid=[1, 2], starts=[date(2024, 1, 1), date(2024, 1, 3)])
    return Table("campaigns", source, primary_key="cid", time_column="starts")


def test_rows_take_their_parents_time_and_those_without_parent_are_left_out(spark, place):
    raw = read(spark, *mailings(place, campaigns(place)))
    rows = {row["mid"]: row[TIME] for row in raw["mailings"].frame.collect()}
    assert rows == {1: NEW_YEAR, 2: NEW_YEAR + 2 * 86_400}


def test_a_parents_time_is_passed_on_through_several_tables(spark, place):
    clicks = Table("clicks", place("clicks", mid=[2, 1]), foreign_keys={"mid": "mailings"}, time_from="mid")
    raw = read(spark, *mailings(place, campaigns(place), clicks))
    assert {row["mid"]: row[TIME] for row in raw["clicks"].frame.collect()} == {1: NEW_YEAR, 2: NEW_YEAR + 2 * 86_400}


def test_taking_the_time_of_a_table_that_has_none_is_an_error(spark, place):
    source = place("campaigns", cid=[1, 2])
    with pytest.raises(GnnscaleError, match="campaigns"):
        read(spark, *mailings(place, Table("campaigns", source, primary_key="cid")))


def test_keys_that_only_facts_mention_get_a_row_of_their_own(spark, place):
    source = place("people", pid=["a", "b"], age=[30, 40])
    table = Table("people", source, primary_key="pid", keys_from=("facts.pid", "visits.pid"))
    events = Table("facts", place("facts", pid=["c", "a", None, "c"]))
    visits = Table("visits", place("visits", pid=["d", "b"]))
    raw = read(spark, table, events, visits)
    rows = {row["pid"]: row["age"] for row in raw["people"].frame.collect()}
    assert rows == {"a": 30, "b": 40, "c": None, "d": None}
    assert raw["people"].frame.count() == 4


def test_rows_that_have_changed_are_read_anew_in_the_same_session(spark, place):
    events = Table("facts", place("facts", pid=["c"]))
    for ages in ([30, 40], [31, 41]):
        source = place("people", pid=["a", "b"], age=ages)
        raw = read(spark, Table("people", source, primary_key="pid", keys_from=("facts.pid",)), events)
        rows = {row["pid"]: row["age"] for row in raw["people"].frame.collect()}
        assert rows == {"a": ages[0], "b": ages[1], "c": None}


def test_a_column_that_is_not_there_names_the_nearest(spark, place):
    table = people(place, income=[1, 2])
    with pytest.raises(SchemaError, match=r"table 'people' has no column 'incme'. Did you mean 'income'"):
        read(spark, Table("people", table.source, primary_key="pid", columns={"incme": "numerical"}))


@pytest.mark.parametrize("name", ["people.parquet", "people.csv"])
def test_a_file_that_cannot_be_read_is_an_error_that_names_the_table(spark, tmp_path, place, name):
    path = tmp_path / name
    path.write_bytes(b"\x00\x01\x02 nothing of the kind" if name.endswith("parquet") else b"")
    with pytest.raises(GnnscaleError, match="people"):
        read(spark, Table("people", str(path), primary_key="pid"), Table("facts", place("facts", pid=[1])))


def test_an_empty_folder_is_an_error_that_names_the_table(spark, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LakeError, match=r"table 'people'.*can't be read"):
        read(spark, Table("people", str(tmp_path / "empty"), primary_key="pid"), Table("f", place("f", pid=[1])))


def test_csv_json_and_delta_are_read_as_parquet_is(spark, tmp_path, place):
    from gnnscale.lake import Lake

    rows = pa.table({"pid": [1, 2], "name": ["a", "b"]})
    Lake(tmp_path).write("delta", rows)
    (tmp_path / "rows.csv").write_text("pid,name\n1,a\n2,b\n")
    lines = b'{"pid": 1, "name": "a"}\n{"pid": 2, "name": "b"}\n'
    (tmp_path / "rows.jsonl").write_bytes(lines)
    (tmp_path / "rows.json.gz").write_bytes(gzip.compress(lines))
    events = Table("facts", place("facts", pid=[1]))
    for source in (tmp_path / name for name in ("delta", "rows.csv", "rows.jsonl", "rows.json.gz")):
        raw = read(spark, Table("people", str(source), primary_key="pid"), events)
        assert sorted(tuple(r) for r in raw["people"].frame.select("pid", "name").collect()) == [(1, "a"), (2, "b")]


def test_times_in_json_are_times(spark, tmp_path, place):
    (tmp_path / "facts.jsonl").write_text('{"pid": 1, "at": "2024-01-01 00:00:05"}\n')
    facts = Table("facts", str(tmp_path / "facts.jsonl"), time_column="at")
    raw = read(spark, people(place), facts)["facts"]
    assert column_kinds(raw.frame)["at"] is ValueKind.TIME
    assert [row[TIME] for row in raw.frame.collect()] == [NEW_YEAR + 5]


def test_links_are_inferred_from_the_columns_that_are_there(spark, place):
    graph = GraphSchema([people(place), Table("facts", place("facts", pid=[1], x=[2]))])
    read_raw_tables(spark, graph, find_sources(graph, {}), {})
    assert [link.name for link in graph.links] == ["facts.pid"]
    lonely = Table("lonely", place("lonely", x=[1]))
    with pytest.raises(SchemaError, match="'lonely' is linked to no other table"):
        read(spark, people(place), Table("facts", place("facts", pid=[1])), lonely)

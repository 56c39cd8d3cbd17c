"""``gnnscale query`` says what a question means before anything is done, or points at its fault."""

import shutil
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gnnscale.cli.main import main
from gnnscale.config import recipe_record
from gnnscale.lake import Lake

TEXT = "PREDICT COUNT(purchases.*, 0, 7) > 2 FOR EACH customers.customer_id WHERE customers.age > 30"
ENTITY = ["labels", "train", "predict", "evaluate"]


@pytest.fixture
def graph_lake(shop, tmp_path) -> str:
    """What there is to know of the shop's graph, and no tables."""
    lake = Lake(tmp_path / "lake")
    lake.write_record("graph", shop.manifest.to_dict())
    lake.write_record("recipe", recipe_record(shop.settings))
    return lake.uri


@pytest.fixture
def raw_lake(tmp_path) -> str:
    """Tables that nobody has described."""
    folder = tmp_path / "raw"
    folder.mkdir()
    at = pa.array([datetime(2024, 1, 1)])
    tables = {
        "users": {"user_id": ["a"], "age": [30]},
        "orders": {"user_id": ["a"], "amount": [1.5], "ordered_at": at},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return str(folder)


def stamps(folder: str | Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    # What building a lake has said, perhaps to the stream of a test that is over, is none of the command's.
    capsys.readouterr()
    status = main(["query", *arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_a_question_is_explained_with_its_anchors_and_nothing_is_done(capsys, shop, graph_lake):
    before = stamps(graph_lake)
    status, out, err = ask(capsys, TEXT, "--lake", graph_lake, "--explain")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == TEXT
    fields = {line[:11].strip(): line[12:] for line in lines[1:]}
    assert fields["task"] == "binary classification"
    assert fields["predicts"] == "whether the number of purchases rows in the 7 days after the anchor > 2"
    assert fields["for"] == "each row of customers, where customers.age > 30"
    assert "anchor 2024-02-22 00:00:00" in fields["test"]
    assert "training labels end at" in fields["leakage"]
    assert stamps(graph_lake) == before


def test_overrides_place_the_anchors(capsys, graph_lake):
    _, out, _ = ask(capsys, TEXT, "--lake", graph_lake, "--explain", "anchors.test=2024-02-20", "anchors.train=2")
    assert "anchor 2024-02-20 00:00:00" in out and "2 anchors" in out


def test_undescribed_tables_are_told_as_they_are_taken_and_nothing_is_written(capsys, raw_lake):
    before = stamps(raw_lake)
    text = "PREDICT SUM(orders.amount, 0, 7) FOR EACH users.user_id"
    status, out, _ = ask(capsys, text, "--lake", raw_lake, "--explain")
    assert status == 0
    assert "users: key user_id, no time" in out and "orders: no key, time ordered_at" in out
    assert "user_id -> users" in out and "amount numerical" in out
    assert "the sum of orders.amount in the 7 days after the anchor" in out and "regression" in out
    # Where there is no graph yet, nothing tells when it would be asked.
    assert "validation" not in out and "known once the lake holds a graph" in out
    assert stamps(raw_lake) == before
    _, out, _ = ask(capsys, text, "--lake", raw_lake, "--explain", "tables.users.columns.age=ignore")
    assert "age ignore" in out and "age numerical" not in out


@pytest.mark.parametrize(("lake", "stages"), [("graph_lake", ENTITY), ("raw_lake", ["graph", *ENTITY])])
def test_a_dry_run_says_which_stages_would_run(capsys, request, lake, stages):
    uri = request.getfixturevalue(lake)
    before = stamps(uri)
    text = TEXT if lake == "graph_lake" else "PREDICT COUNT(orders.*, 0, 7) FOR EACH users.user_id"
    status, out, _ = ask(capsys, text, "--lake", uri, "--dry-run")
    assert status == 0
    fields = [line.split()[0] for line in out.splitlines() if line.endswith(" would run")]
    assert fields == stages
    assert stamps(uri) == before


FAULTS = {
    "unknown table": (TEXT.replace("purchases", "purchase"), "purchase.*", "unknown table 'purchase'. Did you mean"),
    "unknown column": (TEXT.replace("age", "agee"), "agee", "unknown column 'agee'"),
    "end": ("PREDICT COUNT(purchases.*, 0, 7)", "", "the query ends here"),
    "kind": (TEXT.replace("30", "'old'"), "'old'", "customers.age holds numbers"),
    "past": (TEXT.replace("0, 7", "-7, 0"), "-7, 0", "starts at 0 or later"),
}


@pytest.mark.parametrize("lake", ["graph_lake", "raw_lake"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_question_is_pointed_at(capsys, request, lake, fault):
    text, place, says = FAULTS[fault]
    uri = request.getfixturevalue(lake)
    if lake == "raw_lake":
        text, says = text.replace("purchase", "order"), says.replace("purchase", "order")
        text, says = text.replace("customers", "users"), says.replace("customers", "users")
        text, place = text.replace("customer_id", "user_id"), place.replace("purchase", "order")
    before = stamps(uri)
    status, out, err = ask(capsys, text, "--lake", uri)
    assert (status, out) == (2, "")
    error, shown, caret = err.splitlines()
    assert error.startswith("error: line 1, column ") and says in error
    assert caret.strip() == "^"
    under = shown[caret.index("^") :]
    assert under.startswith(place) if place else under == ""
    assert stamps(uri) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mode=fats"], "unknown run mode 'fats'. Did you mean 'fast'"),
        (["--name=Next Week"], "configuration key 'query.name'"),
        (["training.epoch=1"], "unknown configuration key 'training.epoch'"),
        (["model.network=lightgcn"], "model.network=lightgcn is not for binary classification; allowed: auto"),
        (["anchors.test=2031-01-01"], "the test window (2031-01-01 00:00:00"),
    ],
)
def test_a_fault_in_what_is_said_beside_is_one_line(capsys, graph_lake, arguments, says):
    status, _, err = ask(capsys, TEXT, "--lake", graph_lake, "--explain", *arguments)
    assert status == 2
    assert err.startswith("error: ") and says in err and len(err.splitlines()) == 1


def test_a_lake_without_tables_is_an_error(capsys, tmp_path):
    status, _, err = ask(capsys, TEXT, "--lake", str(tmp_path / "none"), "--explain")
    assert status == 2 and "there is no folder" in err
    assert not (tmp_path / "none").exists()


def test_a_question_needs_a_lake(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["query", TEXT])
    assert "--lake" in capsys.readouterr().err


def test_a_table_that_is_not_there_and_a_file_for_a_lake_are_named(capsys, raw_lake):
    status, _, err = ask(capsys, TEXT, "--lake", raw_lake, "--explain", "tables.order.time_column=ordered_at")
    assert status == 2 and "error: unknown table 'order' in the configuration. Did you mean 'orders'?" in err
    file = next(str(path) for path in Path(raw_lake).iterdir() if path.is_file())
    status, _, err = ask(capsys, TEXT, "--lake", file, "--explain")
    assert status == 2 and f"error: {file} is a file; a lake is a folder of tables, such as {raw_lake}" in err


def test_somebody_who_is_not_there_is_told_before_anything_is_made(capsys, shop, graph_lake):
    Lake(graph_lake).write("ids_customers", shop.lake.read("ids_customers"))
    text = "PREDICT COUNT(purchases.*, 0, 7, days) FOR customers.customer_id IN ('c001', 'nobody')"
    status, _, err = ask(capsys, text, "--lake", graph_lake, "--explain")
    assert status == 2
    assert "error: 1 of 2 keys are not a customer_id of 'customers', such as 'nobody'" in err


def test_rows_that_have_come_bring_the_graph_up_to_date_unless_it_is_to_be_kept(capsys, shop, tmp_path):
    lake = Lake(shutil.copytree(shop.lake.uri, tmp_path / "lake"))
    raw = shutil.copytree(Path(shop.lake.uri).parent / "raw", tmp_path / "raw")
    record = recipe_record(shop.settings)
    for table in record["tables"].values():
        table["source"] = str(raw / Path(table["source"]).name) if table.get("source") else table.get("source")
    lake.write_record("recipe", record)
    told = "purchases has changed since the graph was built: "
    ask_all = [TEXT, "--lake", lake.uri]
    assert told not in ask(capsys, *ask_all, "--explain")[1]

    purchases = pq.read_table(raw / "purchases.parquet")
    pq.write_table(pa.concat_tables([purchases, purchases.slice(0, 5)]), raw / "purchases.parquet")
    assert f"{told}a run brings it up to date first" in ask(capsys, *ask_all, "--explain")[1]
    assert f"{told}it is kept as it was" in ask(capsys, *ask_all, "--explain", "--keep-graph")[1]
    assert "graph     would run" in ask(capsys, *ask_all, "--dry-run")[1]
    assert "graph     would" not in ask(capsys, *ask_all, "--dry-run", "--keep-graph")[1]

    # A lake that was copied without its tables answers as it is.
    shutil.rmtree(raw)
    status, out, _ = ask(capsys, *ask_all, "--explain")
    assert status == 0 and told not in out

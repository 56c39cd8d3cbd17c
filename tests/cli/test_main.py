"""The command line says what is wrong in a line and exits 2; a dry run changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gnnscale
from gnnscale.cli.main import main
from gnnscale.config import recipe_record
from gnnscale.lake import Lake, write_stage
from gnnscale.pipeline import stage_help
from tests.shop import QUERY


@pytest.fixture
def recipe(shop_content, tmp_path) -> str:
    """The shop's recipe as a file, with a lake of its own that is not there yet."""
    content = {key: value for key, value in shop_content.items() if key != "recipe"}
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump({**content, "lake": {"uri": str(tmp_path / "lake")}}))
    return str(path)


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("run", "query", "explain", *stage_help()))


@pytest.mark.parametrize("verb", ["run", "query", *stage_help()])
def test_every_verb_that_writes_has_help_and_a_dry_run(capsys, verb):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert "--dry-run" in capsys.readouterr().out


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"gnnscale {gnnscale.__version__}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "complete_jorney"], "Did you mean 'complete_journey'"),
        (["run", "complete_journey", "training.epoch=1"], "unknown configuration key 'training.epoch'"),
        (["train", "complete_journey", "epochs"], "'epochs' is not an override"),
        (["graph", "complete_journey", "seed=x"], "configuration key 'seed'"),
        (["explain", "complete_journey", "tables.products.source=/nowhere"], "no file or folder at /nowhere"),
        (["graph", "complete_journey", "tables.products.source=/nowhere", "--dry-run"], "no file or folder"),
        (["run", "complete_journey", "training=[1]"], "training"),
        (["run", "complete_journey", "--mode=fats"], "unknown run mode 'fats'. Did you mean 'fast'"),
    ],
)
def test_a_fault_is_one_line_on_standard_error_and_exit_2(capsys, tmp_path, arguments, says):
    assert main([arguments[0], arguments[1], f"lake.uri={tmp_path}/lake", *arguments[2:]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and says in err and len(err.splitlines()) == 1
    assert not (tmp_path / "lake").exists()


def test_the_installed_command_prints_no_traceback():
    command = [sys.executable, "-m", "gnnscale.cli.main", "run", "no_such_recipe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no recipe 'no_such_recipe'") and len(done.stderr.splitlines()) == 1


def test_overrides_may_stand_behind_options(capsys, recipe, tmp_path):
    assert main(["graph", recipe, "--dry-run", f"lake.uri={tmp_path}/other"]) == 0
    assert f"{tmp_path}/other" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--dryrun", "epochs"])
def test_a_word_that_is_no_option_or_override_is_refused(capsys, recipe, word):
    with pytest.raises(SystemExit, match="2"):
        main(["graph", recipe, "--dry-run", word])
    assert word in capsys.readouterr().err


def test_explain_prints_query_and_plan(capsys, recipe, tmp_path):
    assert main(["explain", recipe]) == 0
    out = capsys.readouterr().out
    assert QUERY in out
    for word in ("temporal link prediction", "customers", "10 rows of products", "purchases", "7 days after"):
        assert word in out
    assert not (tmp_path / "lake").exists()


def test_explain_points_at_the_fault_in_a_query(capsys, recipe):
    text = QUERY.replace("purchases", "purchase")
    assert main(["explain", recipe, f"query.text='{text}'"]) == 2
    error, shown, caret = capsys.readouterr().err.splitlines()
    assert "Did you mean 'purchases'" in error
    assert shown[caret.index("^") :].startswith("purchase.")


LINK = ["graph", "labels", "train", "embed", "retrieve", "evaluate"]


@pytest.fixture
def graph_lake(shop, tmp_path) -> Lake:
    """The lake of ``recipe``, as if its graph was built: what there is to know of it, and no tables."""
    lake = Lake(tmp_path / "lake")
    lake.write_record("graph", shop.manifest.to_dict())
    lake.write_record("recipe", recipe_record(shop.settings))
    write_stage(lake, "graph", "digest", 0.0, "built")
    return lake


@pytest.mark.parametrize("verb", ["run", "graph"])
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(capsys, recipe, tmp_path, verb):
    before = sorted(tmp_path.rglob("*"))
    assert main([verb, recipe, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"lake: {tmp_path / 'lake'}"
    assert [line.split(maxsplit=1) for line in lines[1:]] == [
        [name, "would run"] for name in (LINK if verb == "run" else ["graph"])
    ]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("verb", LINK[1:])
def test_a_dry_run_of_a_stage_changes_nothing(capsys, recipe, tmp_path, graph_lake, verb):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main([verb, recipe, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"{verb:<9} would run"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_stage_that_the_task_has_not_is_named(capsys, recipe, graph_lake):
    assert main(["predict", recipe]) == 2
    assert "temporal link prediction has no predict stage; its stages are graph, labels" in capsys.readouterr().err


def test_a_dry_run_looks_past_stages_that_have_not_run_yet(capsys, recipe, graph_lake):
    files = {path: path.stat().st_mtime_ns for path in Path(graph_lake.uri).rglob("*")}
    assert main(["run", recipe, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would run") == len(LINK)
    assert {path: path.stat().st_mtime_ns for path in Path(graph_lake.uri).rglob("*")} == files


def test_a_stage_before_its_inputs_says_what_to_run_first(capsys, recipe, tmp_path):
    assert main(["labels", recipe]) == 2
    assert "run the graph stage first" in capsys.readouterr().err
    assert not (tmp_path / "lake").exists()

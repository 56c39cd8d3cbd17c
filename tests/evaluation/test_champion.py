"""A new model takes the champion's place where it is clearly better on the same holdout, and only there."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest

from gnnscale.evaluation import HoldoutResult, holdout_digest, judge
from gnnscale.lake import Lake
from gnnscale.metrics import Metric
from gnnscale.pipeline.stages.champion_gate import keep_result
from gnnscale.schema import LakeError
from gnnscale.tracking import Run, find_champion, start_run
from tests.tracking.test_lake_store import settings_of

MAP = Metric("map@10", "MAP@10", "")
ERROR = Metric("mae", "MAE", "", higher_is_better=False)
NOISE = np.random.default_rng(0).normal(size=200) / 100


def result(
    value: float, metric: Metric = MAP, holdout: str = "h", spread: float = 1.0, since: int | None = 0
) -> HoldoutResult:
    """A model whose draws go up and down as those of every other on the same holdout do."""
    return HoldoutResult(holdout, metric, value, value + spread * NOISE, 0.95, since)


def test_the_first_is_the_champion() -> None:
    assert judge(result(0.1), None).alias == "champion"


@pytest.mark.parametrize(
    ("metric", "value", "alias"),
    [(MAP, 0.3, "champion"), (MAP, 0.1, "challenger"), (ERROR, 0.1, "champion"), (ERROR, 0.3, "challenger")],
)
def test_the_better_one_wins_whichever_way_the_metric_goes(metric: Metric, value: float, alias: str) -> None:
    judged = judge(result(value, metric), result(0.2, metric))
    assert judged.alias == alias and metric.title in judged.reason


def test_better_by_luck_is_not_clearly_better() -> None:
    lucky = judge(result(0.2001, spread=2.0), result(0.2))
    assert lucky.alias == "challenger" and "not clearly better" in lucky.reason
    # The draws are the same ones: what moves both is no difference.
    assert judge(result(0.2001), result(0.2)).alias == "champion"


def test_another_holdout_or_a_metric_without_draws_decides_nothing() -> None:
    judged = judge(result(0.9), result(0.2, holdout="other"))
    assert judged.alias == "challenger" and "another holdout" in judged.reason
    bare = HoldoutResult("h", MAP, 0.9, np.array([]), 0.95)
    assert judge(bare, HoldoutResult("h", MAP, 0.2, np.array([]), 0.95)).alias == "challenger"


def test_a_result_is_kept_as_json() -> None:
    kept = HoldoutResult.from_dict(json.loads(json.dumps(result(0.2).to_dict())))
    assert kept.metric == MAP and (kept.drawn == result(0.2).drawn).all() and kept.holdout == "h"


def test_a_holdout_is_who_when_and_what_came_true(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = {
        "entity": [1, 2, 3],
        "anchor_time": [5, 5, 5],
        "target": [0.0, 1.0, 0.0],
        "split": ["test", "test", "train"],
    }

    def digest(**changed: list) -> str:
        lake.write("labels_q", pa.table({**rows, **changed}))
        return holdout_digest(lake, "q")

    first = digest()
    assert digest(**{name: [values[1], values[0], values[2]] for name, values in rows.items()}) == first
    assert digest(target=[0.0, 1.0, 9.0]) == first
    assert digest(target=[0.0, 0.0, 0.0]) != first and digest(entity=[1, 4, 3]) != first
    lake.write("labels_q", pa.table({"entity": [1]}))
    with pytest.raises(LakeError, match="say of no example"):
        holdout_digest(lake, "q")


def empty_version(tracked: Path, name: str) -> tuple[Run, str]:
    """A run, and a version of a registered model that is of it; the model is registered where it was not."""
    with start_run(*settings_of(tracked)) as run:
        pass
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    return run, str(client.create_model_version(name, (tracked / "mlartifacts").as_uri(), run.run_id).version)


def never(uri: str) -> str:
    raise AssertionError(f"{uri} was evaluated on this holdout before")


@pytest.mark.parametrize(
    ("champion", "alias", "says"),
    [
        (result(0.2, holdout="new"), "champion", "MAP@10 0.4, the champion's 0.2"),
        (result(0.6, holdout="new"), "challenger", "MAP@10 0.4, the champion's 0.6"),
        ("it answers another question: PREDICT", "challenger", "can't be held against: it answers another question"),
    ],
    ids=["worse", "better", "unlike"],
)
def test_the_champion_of_another_holdout_is_asked_on_this_one(
    tracked: Path, champion: HoldoutResult | str, alias: str, says: str
) -> None:
    asked: list[str] = []

    def here(uri: str) -> HoldoutResult | str:
        asked.append(uri)
        return champion

    name = f"main.shop.{alias}_{len(says)}"
    for value, holdout in ((0.9, "old"), (0.4, "new")):
        run, version = empty_version(tracked, name)
        said = str(keep_result(run, result(value, holdout=holdout), name, version, here))
    assert asked == [f"models:/{name}@champion"] and says in said
    assert str(mlflow.MlflowClient().get_model_version_by_alias(name, alias).version) == version


def test_a_champion_that_may_have_learned_from_the_holdout_is_not_asked(tracked: Path) -> None:
    name, said = "main.shop.learned", ""
    for value, holdout, since in ((0.2, "late", 200), (0.4, "early", 100)):
        run, version = empty_version(tracked, name)
        said = str(keep_result(run, result(value, holdout=holdout, since=since), name, version, never))
    assert "is the challenger" in said and "it may have learned from this holdout" in said


def test_versions_of_a_registered_model_get_their_aliases(tracked: Path) -> None:
    """In the registry itself; the versions are empty."""
    name, said = "main.shop.predictions", []
    for value in (0.2, 0.1, 0.4):
        with start_run(*settings_of(tracked)) as run:
            pass
        client = mlflow.MlflowClient()
        if not said:
            client.create_registered_model(name)
            assert find_champion(name) is None
        version = client.create_model_version(name, (tracked / "mlartifacts").as_uri(), run.run_id).version
        said.append(keep_result(run, result(value), name, str(version), never))
        aliases = {alias: str(held) for alias, held in client.get_registered_model(name).aliases.items()}
        expected = [{"champion": "1"}, {"champion": "1", "challenger": "2"}, {"champion": "3", "challenger": "2"}]
        assert aliases == expected[len(said) - 1]
    assert "version 3 of main.shop.predictions is the champion: MAP@10 0.4, the champion's 0.2: +0.2" in said[2]
    champion = find_champion(name)
    assert champion is not None and champion.tags["gnnscale.result"] == "map@10=0.4"
    # Evaluated once more, it is what it was.
    again = client.create_model_version(name, (tracked / "mlartifacts").as_uri(), run.run_id).version
    assert "was that before" in str(keep_result(run, result(0.4), name, str(again), never))
    assert str(find_champion(name).version) == str(again)  # type: ignore[union-attr]
    assert keep_result(run, result(0.4), None, None, never) is None

"""Few examples are learned by one process; more by one a GPU, or a core with a fair share of each batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gnnscale.config import Settings, build_settings
from gnnscale.lake import Lake
from gnnscale.pipeline.workers.train_alone import trains_alone
from gnnscale.pipeline.workers.worker_count import SMALL, count_workers
from gnnscale.schema import ConfigError


def settings(**training: Any) -> Settings:
    query = {"name": "q", "text": "PREDICT COUNT(b.*, 0, 7, days) FOR EACH a.id"}
    return build_settings({"recipe": "r", "lake": {"uri": "lake"}, "tables": {}, "query": query, "training": training})


def labelled(folder: Path, examples: int, task: str = "regression") -> Lake:
    lake = Lake(folder)
    lake.write_record("task_q", {"task": task, "splits": {"train": {"examples": examples}}})
    return lake


@pytest.mark.parametrize(
    ("examples", "training", "gpus", "cores", "workers"),
    [
        (SMALL // 3, {}, 0, 16, 1),
        (SMALL // 3, {}, 4, 16, 1),
        (SMALL, {}, 4, 16, 4),
        (SMALL, {}, 1, 16, 1),
        (SMALL, {"gpu": "no"}, 4, 16, 2),
        (SMALL, {"batch_size": 1024}, 0, 16, 16),
        (SMALL, {"batch_size": 32}, 0, 16, 1),
        (SMALL, {"max_examples": SMALL // 3}, 0, 16, 1),
        (SMALL, {"max_workers": 4}, 4, 16, 1),
        (10, {"workers": 3}, 0, 2, 3),
    ],
)
def test_so_many_as_there_is_work_for(
    tmp_path: Path, examples: int, training: dict[str, Any], gpus: int, cores: int, workers: int
) -> None:
    assert count_workers(settings(**training), labelled(tmp_path, examples), gpus, cores) == workers


def test_rankings_learn_from_all_of_their_examples(tmp_path: Path) -> None:
    few = settings(max_examples=SMALL // 10)
    ranked = labelled(tmp_path, SMALL, "temporal link prediction")
    assert count_workers(few, ranked, 0, 2) == 2
    assert count_workers(few, labelled(tmp_path, SMALL), 0, 2) == 1


def test_one_trains_in_this_process_unless_there_is_a_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    few = labelled(tmp_path, 100)
    assert trains_alone(settings(gpu="no"), few)
    assert not trains_alone(settings(gpu="no", workers=2), few)
    assert not trains_alone(settings(gpu="no", max_workers=2), few)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert not trains_alone(settings(gpu="no"), few)


def test_a_word_is_no_number() -> None:
    with pytest.raises(ConfigError, match=r"training\.workers"):
        settings(workers="many")

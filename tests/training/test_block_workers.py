"""One, two and four processes train the same network on blocks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gnnscale.training import DistributedContext
from tests.gloo_group import run_group
from tests.training.block_job import main, train, write_shop

TOLERANCE = {"rel": 2e-5, "abs": 2e-5}
"""Gradients are summed in parts, one a worker, and floating-point sums depend on how they are cut."""


@pytest.mark.slow
def test_processes_train_as_one(tmp_path: Path) -> None:
    write_shop(tmp_path)
    alone = train(str(tmp_path), DistributedContext())
    assert alone["losses"] == train(str(tmp_path), DistributedContext())["losses"]
    assert alone["seen"] == 100 and len(alone["losses"]) > 2
    for workers in (2, 4):
        run_group(main, workers, tmp_path)
        found = torch.load(tmp_path / f"{workers}.pt")
        assert found["seen"] == alone["seen"]
        steps, losses = zip(*found["losses"], strict=True)
        assert steps == tuple(step for step, _ in alone["losses"])
        assert losses == pytest.approx([loss for _, loss in alone["losses"]], **TOLERANCE)
        for one, other in zip(found["metrics"], alone["metrics"], strict=True):
            assert one == pytest.approx(other, rel=1e-3)

"""A sharded table learns as a dense one does, whatever the number of processes that hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gnnscale.nn.embedding.embedding_init import EmbeddingInit, start_rows
from gnnscale.nn.embedding.row_adagrad import EPSILON
from gnnscale.nn.embedding.sharded_embedding import ProcessGroup, ShardedEmbedding, sharded_tables
from gnnscale.schema import SchemaError
from tests.gloo_group import run_group
from tests.nn.embedding.sharded_job import (
    BATCH,
    CHANNELS,
    LARGE,
    LAW,
    RATE,
    ROWS,
    STEPS,
    Lookup,
    batch_of,
    gather_large,
    main,
    train,
)

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
"""A row's gradient is summed by each process first, then over processes: sums of floats depend on how they are cut."""


class Dense(nn.Module):
    """The same network on a plain table with row-wise Adagrad written out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(CHANNELS, 1)
        self.weight = nn.Parameter(start_rows(LAW, np.arange(ROWS), CHANNELS))
        self.squares = torch.zeros(ROWS)

    def step(self, number: int) -> float:
        nodes, values = batch_of(number)
        loss = ((self.layer(self.weight[nodes].tanh()).squeeze(-1) - values) ** 2).sum() / BATCH
        self.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter -= RATE * parameter.grad
            self.squares += self.weight.grad.square().mean(1)
            self.weight -= RATE * self.weight.grad / (self.squares.sqrt() + EPSILON).unsqueeze(1)
        return float(loss.detach())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("sharded")
    torch.save(train(ProcessGroup(), range(2)), folder / "one.pt")
    found: dict[int, dict[str, Any]] = {1: {"whole": train(ProcessGroup(), range(STEPS))}}
    for workers in (2, 4):
        run_group(main, workers, folder)
        found[workers] = torch.load(folder / f"{workers}.pt")
    return found


def test_one_process_learns_as_a_dense_table_does(runs: dict[int, dict[str, Any]]) -> None:
    dense, found = Dense(), runs[1]["whole"]
    losses = [dense.step(number) for number in range(STEPS)]
    assert found["losses"] == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(found["items"]["table"], dense.weight.detach(), **TOLERANCE)
    torch.testing.assert_close(found["items"]["squares"], dense.squares, **TOLERANCE)


def test_a_table_reaches_a_checkpoint_in_pieces(tmp_path: Path) -> None:
    run_group(gather_large, 2, tmp_path)
    saved = torch.load(tmp_path / "large.pt")
    assert torch.equal(saved["found"]["table"], start_rows(LAW, np.arange(LARGE), 1))
    assert torch.equal(saved["found"]["squares"], torch.zeros(LARGE))
    assert len(saved["received"]) > 2 and max(saved["received"]) <= 1 << 16


@pytest.mark.parametrize("workers", [2, 4])
def test_processes_learn_as_one_and_take_over_what_another_number_left(
    runs: dict[int, dict[str, Any]], workers: int
) -> None:
    one = runs[1]["whole"]
    for name in ("whole", "resumed"):
        found = runs[workers][name]
        torch.testing.assert_close(found["items"], one["items"], **TOLERANCE)
        torch.testing.assert_close(dict(found["layer"]), dict(one["layer"]), **TOLERANCE)
    # And back: one process goes on with what several left.
    left = runs[workers]["left"]
    again = train(ProcessGroup(), range(STEPS, STEPS + 1), left)
    assert again["losses"] == pytest.approx(train(ProcessGroup(), range(STEPS, STEPS + 1), one)["losses"], rel=1e-5)


def test_rows_that_were_never_looked_up_are_as_they_began(runs: dict[int, dict[str, Any]]) -> None:
    rows = np.arange(ROWS - 7, ROWS)
    for found in runs.values():
        table = found["whole"]["items"]["table"]
        assert torch.equal(table[rows], start_rows(LAW, rows, CHANNELS))
        assert (found["whole"]["items"]["squares"][rows] == 0).all()


def test_initial_rows_are_normal_and_depend_on_their_number_alone() -> None:
    law = EmbeddingInit(seed=1, table="a", deviation=0.5)
    rows = start_rows(law, np.arange(3000), 8)
    assert rows.mean().abs() < 0.02 and abs(float(rows.std()) - 0.5) < 0.02
    # Of a normal law, 68 in 100 lie within a deviation.
    assert abs(float((rows.abs() < 0.5).float().mean()) - 0.683) < 0.02
    assert torch.equal(start_rows(law, np.array([70, 5]), 8), rows[[70, 5]])
    assert not torch.equal(start_rows(EmbeddingInit(1, "b", 0.5), np.arange(3), 8), rows[:3])
    assert (start_rows(EmbeddingInit(1, "a", 0.0), np.arange(3), 8) == 0).all()


def test_nothing_of_the_table_is_a_parameter_and_copies_share_it() -> None:
    import copy

    model = Lookup(ProcessGroup())
    assert [name for name, _ in model.named_parameters()] == ["layer.weight", "layer.bias"]
    assert list(model.state_dict()) == ["layer.weight", "layer.bias"]
    other = copy.deepcopy(model)
    assert other.layer is not model.layer and other.items is model.items
    assert list(sharded_tables(model)) == ["items"]


def test_a_step_without_gradients_changes_nothing_and_look_ups_in_evaluation_leave_none() -> None:
    table = ShardedEmbedding(10, 3, LAW)
    before = table.table.clone()
    table(torch.tensor([[1, 2], [2, 9]]))
    table.eval()
    assert table(torch.tensor([[1, 2]])).shape == (1, 2, 3)
    assert not table(torch.tensor([4])).requires_grad
    table.update(0.1)
    assert torch.equal(table.table, before)


def test_rows_that_are_not_there_and_tables_of_another_shape_are_refused() -> None:
    table = ShardedEmbedding(10, 3, LAW)
    with pytest.raises(SchemaError, match=r"rows 3 \.\. 10 are looked up; there are 10"):
        table(torch.tensor([3, 10]))
    with pytest.raises(SchemaError, match=r"the table was of \(11, 3\); now it is of \(10, 3\)"):
        table.load(ShardedEmbedding(11, 3, LAW).gather())

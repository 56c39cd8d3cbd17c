"""Files of weights are read without running what is in them, and a tampered one is an error of one line."""

import io
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from gnnscale.config import build_settings
from gnnscale.lake import Lake
from gnnscale.schema import LakeError
from gnnscale.training import model_path, read_checkpoint, write_checkpoint
from gnnscale.training.checkpoint_file import read_tensors
from gnnscale.training.model_file import _read


class Attack:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = {"epoch": 1, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "losses": [(1, 0.5)]}
    state |= {"best": {"auroc": float("nan")}, "kept": "auroc", "tables": OrderedDict(a=torch.ones(2))}
    write_checkpoint(state, tmp_path / "checkpoint.pt")
    found = read_checkpoint(tmp_path / "checkpoint.pt")
    assert found["losses"] == [(1, 0.5)] and found["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
    torch.testing.assert_close(found["model"], dict(state["model"]))


def test_a_checkpoint_that_runs_something_is_not_run(tmp_path: Path) -> None:
    write_checkpoint({"model": Attack(tmp_path / "run")}, tmp_path / "checkpoint.pt")
    with pytest.raises(LakeError, match="holds more than tensors"):
        read_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "run").exists()


def test_a_bit_that_is_another_is_noticed_or_changes_nothing() -> None:
    torch.manual_seed(0)
    state = {"weights": {"a": torch.rand(40)}, "best": {"auroc": 0.5}, "description": {"hidden": 3}}
    good, told = bytearray(saved(state)), []
    for place in range(len(good)):
        good[place] ^= 1 << place % 8
        try:
            found = read_tensors(bytes(good), "model.pt")
        except LakeError as error:
            told.append(str(error))
        else:
            assert torch.equal(found["weights"]["a"], state["weights"]["a"]) and found["best"] == state["best"]
        good[place] ^= 1 << place % 8
    assert len(told) > len(good) // 4
    assert all("\n" not in line and "run the train stage again" in line for line in told)


def test_a_tampered_model_is_an_error_of_one_line(tmp_path: Path, shop_content) -> None:
    lake = Lake(tmp_path)
    settings = build_settings({**shop_content, "lake": {"uri": lake.uri}})
    good = saved({"weights": {"a": torch.ones(2)}, "best": {}, "description": {}})
    tampered = {
        "cut off": good[: len(good) // 2],
        "empty": b" ",
        "text": b"not a model",
        "pickle": pickle.dumps(Attack(tmp_path / "run")),
        "attack": saved({"weights": Attack(tmp_path / "run")}),
        "list": saved([1, 2]),
        "no weights": saved({"description": {}}),
        "no description": saved({"weights": {}}),
        "text for a tensor": saved({"weights": {"a": "b"}, "description": {}}),
        "infinite": saved({"weights": {"a": torch.tensor([1.0, float("inf")])}, "description": {}}),
    }
    for name, content in tampered.items():
        lake.write_bytes(model_path(settings.query.name), content)
        with pytest.raises(LakeError, match="run the train stage again") as error:
            _read(settings, lake, None)
        assert "\n" not in str(error.value) and lake.uri in str(error.value), name
    assert not (tmp_path / "run").exists()
    assert _read(settings, lake, good)["description"] == {}

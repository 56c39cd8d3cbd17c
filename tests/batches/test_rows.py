"""Features of rows as tensors: those of the nodes asked for, and nothing of hidden columns."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gnnscale.batches.rows import CodeBags, HiddenColumns, RowFeatures, gather_rows


def test_rows_are_those_of_the_nodes_table(shop, store):
    nodes = np.array([7, 0, 7, 29, 12])
    table = shop.nodes("products").iloc[nodes]
    rows = gather_rows(store.features("products"), nodes)
    bags = rows.multicategorical[0]
    assert bags.offsets.tolist() == [0, *np.cumsum(table["multi_tags"].map(len))]
    assert bags.codes.tolist() == [code for codes in table["multi_tags"] for code in codes]
    for vectors, column in zip(rows.embedded, ("emb_description", "emb_vector"), strict=True):
        assert vectors.dtype == torch.float16
        np.testing.assert_array_equal(vectors, np.stack(table[column]).astype(np.float16))


def test_hidden_columns_are_as_if_missing_and_the_others_stay(store):
    manifest, features = store.manifest.table("products"), store.features("products")
    nodes = np.arange(manifest.rows)
    whole = gather_rows(features, nodes)
    hidden = gather_rows(features, nodes, HiddenColumns.of(manifest, {"price", "brand", "tags", "vector"}))
    assert not hidden.numerical.any() and whole.numerical.any()
    assert torch.equal(hidden.categorical[:, 0], whole.categorical[:, 0]) and not hidden.categorical[:, 1].any()
    assert whole.multicategorical[0].codes.numel() and not hidden.multicategorical[0].codes.numel()
    assert hidden.multicategorical[0].offsets.shape == whole.multicategorical[0].offsets.shape
    assert torch.equal(hidden.embedded[0], whole.embedded[0])
    assert whole.embedded[1].any() and not hidden.embedded[1].any()
    assert hidden.embedded[1].shape == whole.embedded[1].shape


def test_features_move_as_one(store):
    rows = gather_rows(store.features("products"), np.arange(3)).to(torch.device("meta"))
    assert {rows.multicategorical[0].codes.device.type, rows.embedded[1].device.type} == {"meta"}


class Copied(TorchDispatchMode):
    """Which copies to a device the host goes on beside."""

    def __init__(self) -> None:
        super().__init__()
        self.asynchronous: list[bool] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket is torch.ops.aten._to_copy:
            self.asynchronous.append(kwargs.get("non_blocking", False))
        return function(*args, **kwargs)


def test_a_batch_goes_to_a_device_while_the_host_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RowFeatures(torch.ones(2, 3), torch.ones(2, 1), (CodeBags(torch.ones(4), torch.ones(3)),), (torch.ones(2),))
    with Copied() as copied:
        there = rows.to(torch.device("meta"))
    assert copied.asynchronous == [True] * 5 and there.multicategorical[0].codes.is_meta
    # What reads on the host waits for no device, so that a copy to it is waited for.
    with Copied() as copied:
        RowFeatures(torch.ones(1, 1, dtype=torch.float64), torch.ones(1)).to(torch.device("cpu"))
    assert not any(copied.asynchronous)
    locked: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda own: locked.append(own) or own)
    assert isinstance(rows.pinned().multicategorical[0], CodeBags) and len(locked) == 5

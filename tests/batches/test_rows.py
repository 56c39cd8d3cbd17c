"""Features of rows as tensors: those of the nodes asked for, and nothing of hidden columns."""

import numpy as np
import torch

from gnnscale.batches.rows import HiddenColumns, gather_rows


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

"""Gathered rows are those of the table, of every type and from every place."""

import tracemalloc

import numpy as np
import pytest
import torch

from gnnscale.sampling import narrow_features
from gnnscale.sampling.backends.triton import device_features
from gnnscale.sampling.backends.triton.device_features import FeatureTable, gather, quantise_columns
from gnnscale.schema import ConfigError

VALUES = np.random.default_rng(0).standard_normal((50, 1)).astype(np.float32) * np.arange(1, 131, dtype=np.float32)
NODES = np.random.default_rng(1).integers(-1, 50, (6, 4, 3)).astype(np.int32)


def rows_of(values: np.ndarray) -> np.ndarray:
    """By hand: zeros where a node is absent."""
    return np.where(NODES[..., None] < 0, 0, values[np.maximum(NODES, 0)])


@pytest.mark.parametrize("place", ["device", "pinned", "mapped"])
@pytest.mark.parametrize("dims", [1, 5, 128, 130])
@pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16", "int8"])
def test_rows_are_those_of_the_table(device, stored, dims, place):
    values, scale = VALUES[:, :dims], None
    if stored == "int8":
        table, scale = quantise_columns(values)
        wanted = table.astype(np.float32) * scale
    elif stored == "bfloat16":
        table = torch.from_numpy(values).to(torch.bfloat16)
        wanted = table.float().numpy()
    else:
        table = values.astype(stored)
        wanted = table.astype(np.float32)
    features = FeatureTable.of(table, device, place, scale)
    found = gather(features, torch.from_numpy(NODES).to(device))
    assert found.dtype == torch.float32 and found.device.type == device.type
    np.testing.assert_array_equal(found.cpu().numpy(), rows_of(wanted))
    half = gather(features, torch.from_numpy(NODES).to(device).long(), torch.float16)
    np.testing.assert_array_equal(half.cpu().numpy(), rows_of(wanted).astype(np.float16))


@pytest.mark.parametrize("place", ["device", "pinned", "mapped"])
@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.int8])
def test_features_are_stored_smaller_by_parts(device, stored, place, tmp_path, monkeypatch):
    np.save(tmp_path / "values.npy", np.tile(VALUES, (400, 1)))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    monkeypatch.setattr(narrow_features, "CHUNK_BYTES", mapped.nbytes // 100)
    tracemalloc.start()
    table = FeatureTable.of(mapped, device, place, dtype=stored)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Not even of the smallest type does the host hold a copy on the way.
    assert most < mapped.nbytes / 10
    assert table.values is mapped if place == "mapped" else table.values.dtype == stored
    whole = torch.from_numpy(VALUES).to(stored)
    wanted = np.multiply(*quantise_columns(VALUES), dtype=np.float32) if stored == torch.int8 else whole.float().numpy()
    found = gather(table, torch.from_numpy(NODES).to(device)).cpu().numpy()
    np.testing.assert_array_equal(found, rows_of(wanted))


@pytest.mark.parametrize("place", ["device", "pinned", "mapped"])
def test_codes_are_gathered_as_they_are(device, place):
    # Past what a float32 tells apart.
    codes = (2**30 + np.arange(150).reshape(50, 3)).astype(np.int32)
    found = gather(FeatureTable.of(codes, device, place), torch.from_numpy(NODES).to(device), torch.int32)
    assert found.dtype == torch.int32
    np.testing.assert_array_equal(found.cpu().numpy(), rows_of(codes))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("once", [1, 8192])
def test_rows_that_the_device_has_too_are_the_same(device, stored, once, monkeypatch):
    monkeypatch.setattr(device_features, "ONCE", once)
    plain = FeatureTable.of(VALUES, device, "pinned", dtype=stored)
    wanted = gather(FeatureTable.of(VALUES, device, dtype=stored), torch.from_numpy(NODES).to(device))
    for rows in (np.arange(50), np.array([49, 3, 0]), np.zeros(0, np.int64)):
        table = plain.with_hot(rows)
        assert table.hot is not None and table.hot.values.shape == (len(rows), 130)
        # They are read there: what the host has is gone.
        table.values[rows] = 0
        found = gather(table, torch.from_numpy(NODES).to(device))
        np.testing.assert_array_equal(found.cpu().numpy(), wanted.cpu().numpy())
        table.values[np.sort(rows)] = table.hot.values.to(table.values.device)


def test_no_rows_and_no_columns(device):
    features = FeatureTable.of(VALUES, device)
    assert gather(features, torch.zeros((0, 3), dtype=torch.int32, device=device)).shape == (0, 3, 130)
    none = FeatureTable.of(VALUES[:, :0], device)
    assert gather(none, torch.zeros(4, dtype=torch.int32, device=device)).shape == (4, 0)


def test_quantised_columns_are_within_half_a_scale():
    values = np.concatenate([VALUES, np.zeros((50, 1), np.float32)], axis=1)
    small, scale = quantise_columns(values)
    assert small.dtype == np.int8 and np.abs(small).max(axis=0)[:-1].tolist() == [127] * 130
    assert (np.abs(small * scale - values) <= scale * 0.5001).all()
    assert (small[:, -1] == 0).all() and scale[-1] == 1


def test_what_cannot_be_gathered_is_an_error(device):
    with pytest.raises(ConfigError, match=r"features are torch.float64; one of torch.float32"):
        FeatureTable.of(VALUES.astype(np.float64), device)
    with pytest.raises(ConfigError, match="int8 features, and only those, have a scale"):
        FeatureTable.of(VALUES.astype(np.int8), device)
    with pytest.raises(ConfigError, match="int8 features, and only those, have a scale"):
        FeatureTable.of(VALUES, device, scale=np.ones(130, np.float32))
    with pytest.raises(
        ConfigError, match=r"stored as torch.int32; float32 ones as one of torch.float32, torch.float16"
    ):
        FeatureTable.of(VALUES, device, dtype=torch.int32)
    nodes = torch.zeros(1, dtype=torch.int32, device=device)
    with pytest.raises(ConfigError, match=r"gathered as torch.int8; one of torch.float32"):
        gather(FeatureTable.of(VALUES, device), nodes, torch.int8)
    with pytest.raises(ConfigError, match=r"gathered as torch.int32; one of torch.float32"):
        gather(FeatureTable.of(VALUES, device), nodes, torch.int32)
    with pytest.raises(ConfigError, match=r"gathered as torch.float32; one of torch.int32$"):
        gather(FeatureTable.of(VALUES.astype(np.int32), device), nodes)

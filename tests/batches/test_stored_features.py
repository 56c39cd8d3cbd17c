"""Features in fewer bits: gathered rows are the stored values as float32, which are as near as the type allows."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from gnnscale.batches.blocks.gather import AHEAD
from gnnscale.batches.blocks.stored_features import StoredFeatures, gather_features
from gnnscale.sampling import column_scale, narrow_features
from gnnscale.schema import DataError, SchemaError

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def features_of(nodes: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(nodes + channels)
    found = (rng.standard_normal((nodes, channels)) * 10.0 ** rng.integers(-6, 4, channels)).astype(np.float32)
    found[rng.random(found.shape) < 0.1] = 0
    return found


@pytest.mark.parametrize("channels", [0, 1, 5, 64, 130])
@pytest.mark.parametrize("rows", [0, 1, AHEAD + 1, 100])
@pytest.mark.parametrize(("kind", "threads"), [("fp16", 1), ("fp16", 3), ("bf16", 1), ("bf16", 3), ("int8", 1)])
def test_rows_are_what_torch_makes_of_the_stored_values(kind, channels, rows, threads, monkeypatch):
    monkeypatch.setattr(narrow_features, "CHUNK_BYTES", 7 * 4 * max(1, channels))
    features = features_of(40, channels)
    nodes = np.random.default_rng(rows).integers(-1, 40, (rows, 2)).astype(np.int32)
    table = StoredFeatures.of(features, kind)
    assert table.shape == features.shape and table.values.itemsize == (1 if kind == "int8" else 2)
    found = gather_features(table, nodes, threads)
    if kind == "int8":
        scale = column_scale(features)
        wanted = np.clip(np.rint(features / scale), -127, 127).astype(np.float32) * scale
        assert (np.abs(wanted - features) <= scale / 2 * 1.001).all()
    else:
        wanted = torch.from_numpy(features).to(TYPES[kind]).float().numpy()
    assert found.dtype == np.float32 and found.shape == (rows, 2, channels)
    np.testing.assert_array_equal(found, np.where(nodes[..., None] < 0, np.float32(0), wanted[nodes]))


def test_every_sixteen_bit_float_is_widened_exactly():
    bits = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 64)
    every = np.arange(len(bits))
    for kind, dtype in TYPES.items():
        found = StoredFeatures(bits, np.ones(64, np.float32), kind).gather(every)
        wanted = torch.from_numpy(bits.view(np.int16)).view(dtype).float().numpy()
        np.testing.assert_array_equal(found, wanted)


def test_a_node_past_the_features_is_an_error():
    with pytest.raises(SchemaError, match="node ids reach 4, and there are features of 4 nodes"):
        StoredFeatures.of(features_of(4, 3), "bf16").gather(np.array([4]))


@pytest.mark.parametrize(("kind", "value"), [("int8", np.nan), ("int8", np.inf), ("fp16", 1e5), ("bf16", -np.inf)])
def test_what_is_no_number_of_the_type_is_refused_with_its_column(kind, value):
    features = features_of(9, 3)
    features[4, 1] = value
    with pytest.raises(DataError, match=f"column 1 of the features has values that are no numbers of {kind}"):
        StoredFeatures.of(features, kind)


WITHOUT_TRITON = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
from gnnscale.batches import BlockLoader
from gnnscale.schema import NETWORKS
print(BlockLoader.__name__, *sorted(NETWORKS.names()))
"""


def test_blocks_need_no_package_for_gpus():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BlockLoader ") and " blocks " in done.stdout

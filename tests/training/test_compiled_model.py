"""A compiled network steps as the plain one does; what a device lacks is an error."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.category_codes import CategoryCodes
from gnnscale.config import Settings, build_settings
from gnnscale.config.sections.training import TrainingSettings
from gnnscale.nn.conv.block_network import BlockNetwork
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import ConfigError, FeatureManifest, TableManifest
from gnnscale.training.compiled_model import compile_model
from gnnscale.training.distributed_context import DistributedContext
from gnnscale.training.networks.block_checks import check_shapes
from gnnscale.training.networks.source_device import place_source
from tests.gpu.graphs import shop_store
from tests.training.block_job import train, write_shop

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> BlockLoader:
    store = shop_store(tmp_path_factory.mktemp("compiled"))
    sampler = NeighborSampler(store, [{"purchases.customer_id": 3}], "uniform", table="customers")
    features = {name: np.asarray(store.features(name).numerical) for name in ("customers", "purchases")}
    values = np.random.default_rng(0).integers(0, 4, (store.node_count("purchases"), 2)).astype(np.int32)
    codes = {"purchases": CategoryCodes(values, (3, 3))}
    return BlockLoader(sampler, features, np.arange(40), batch_size=20, codes=codes)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_a_compiled_step_is_the_plain_one(loader: BlockLoader) -> None:
    plain = BlockNetwork(loader.paths, loader.table, loader.widths, 4, 2, categories=loader.categories)
    compiled = copy.deepcopy(plain)
    compile_model(compiled, TrainingSettings(compile=True), CPU)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for block in loader.epoch(0):
        found, expected = compiled(*block.inputs()), plain(*block.inputs())
        torch.testing.assert_close(found, expected)
        for out in (found, expected):
            out.square().sum().backward()
    for own, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_a_compiled_training_is_the_plain_one(tmp_path: Path) -> None:
    write_shop(tmp_path)
    plain, compiled = (
        train(str(tmp_path), DistributedContext(), epochs=1, compile=compile_) for compile_ in (False, True)
    )
    assert [loss for _, loss in compiled["losses"]] == pytest.approx([loss for _, loss in plain["losses"]], rel=1e-4)
    assert compiled["metrics"][0] == pytest.approx(plain["metrics"][0], rel=1e-3)
    assert compiled["weights"].keys() == plain["weights"].keys()


def test_without_the_setting_nothing_is_compiled(loader: BlockLoader) -> None:
    model = BlockNetwork(loader.paths, loader.table, loader.widths, 4, 2)
    compile_model(model, TrainingSettings(), CPU)
    assert model._compiled_call_impl is None


def test_cuda_graphs_of_links_need_targets_of_fixed_shape() -> None:
    def settings(**model: str) -> Settings:
        shop = {"recipe": "shop", "lake": {"uri": "lake"}, "tables": {"products": {"source": "products.csv"}}}
        query, chosen = {"name": "asked", "text": "PREDICT"}, {"network": "blocks", **model}
        return build_settings({**shop, "query": query, "model": chosen, "training": {"cuda_graphs": True}})

    tags = FeatureManifest("tags", "multicategorical", categories=("red", "blue"))
    plain = TableManifest("products", 3, None, ())
    listed = TableManifest("products", 3, None, (tags,))
    check_shapes(settings(), plain)
    check_shapes(settings(target_embedding="lookup"), listed)
    with pytest.raises(ConfigError, match=r"needs batches of fixed shape, and products\.tags has lists"):
        check_shapes(settings(), listed)


def test_cuda_graphs_and_the_gpu_sampler_need_a_gpu(loader: BlockLoader) -> None:
    with pytest.raises(ConfigError, match="cuda_graphs=true needs a CUDA device, and training is on cpu"):
        compile_model(torch.nn.Linear(1, 1), TrainingSettings(cuda_graphs=True), CPU)
    with pytest.raises(ConfigError, match=r"sampler=gpu needs a CUDA device.*allowed: auto, cpu"):
        place_source(loader, TrainingSettings(sampler="gpu"), CPU)
    assert place_source(loader, TrainingSettings(), CPU) is loader


def test_features_are_stored_in_the_type_that_is_asked_for_on_the_host_too(loader: BlockLoader) -> None:
    before, loader = loader.build(np.arange(4)), copy.copy(loader)
    found = place_source(loader, TrainingSettings(feature_type="int8"), CPU)
    assert found is loader and not loader.arrays
    after = loader.build(np.arange(4))
    for wide, narrow in zip(before.features, after.features, strict=True):
        assert narrow.dtype == torch.float32
        assert not wide.numel() or 0 < float((wide - narrow).abs().max()) < float(wide.abs().max()) / 100

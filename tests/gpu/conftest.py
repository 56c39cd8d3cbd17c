"""Where the kernels run: on a CUDA device, or else in Triton's interpreter; without triton, these tests skip."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gnnscale.store import GraphStore

NO_TRITON = "triton is not installed (pip install gnnscale[gpu])"


def why_not() -> str | None:
    """What the kernels lack here; None where they run."""
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return None
    return "no CUDA device, and TRITON_INTERPRET=1 is not set"


class Lacking(pytest.Module):
    """A module of tests that is not imported: it would import what there is not."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(NO_TRITON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Tests of this folder skip where there is no triton."""
    return Lacking.from_parent(parent, path=module_path) if find_spec("triton") is None else None


@pytest.fixture(scope="session")
def device() -> torch.device:
    """That the kernels run on."""
    if reason := why_not():
        pytest.skip(reason)
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    return torch.device("cpu" if interpreted else "cuda")


@pytest.fixture(scope="session")
def cuda() -> torch.device:
    """A CUDA device that kernels are compiled for."""
    if why_not() or not torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("needs a CUDA device, and TRITON_INTERPRET unset")
    return torch.device("cuda")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> GraphStore:
    """Customers, purchases and products, some of which end, with weighted edges between products."""
    from tests.gpu.graphs import shop_store

    return shop_store(tmp_path_factory.mktemp("gpu-shop"))

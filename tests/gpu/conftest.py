"""Where the kernels run: on a CUDA device, or else in Triton's interpreter; without either, these tests skip."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gnnscale.store.graph_store import GraphStore
from tests.gpu.graphs import shop_store

HERE = Path(__file__).parent


def why_not() -> str | None:
    """What the kernels lack here; None where they run."""
    if find_spec("triton") is None:
        return "triton is not installed (pip install gnnscale[gpu])"
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return None
    return "no CUDA device, and TRITON_INTERPRET=1 is not set"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # These modules import triton at their top.
    return True if collection_path.parent == HERE and find_spec("triton") is None else None


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
    return shop_store(tmp_path_factory.mktemp("gpu-shop"))

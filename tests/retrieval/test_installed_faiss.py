"""One FAISS is there, and several are told of: they lie in one folder."""

import logging
from importlib.metadata import PathDistribution
from pathlib import Path

import faiss
import pytest

from gnnscale.retrieval.index.faiss_index import to_gpu
from gnnscale.retrieval.index.installed_faiss import faiss_packages, log_faiss
from gnnscale.schema import ConfigError


def installed(folder: Path, *names: str) -> list[PathDistribution]:
    """Packages as pip leaves them."""
    found = []
    for name in names:
        path = folder / f"{name.replace('-', '_')}-1.9.dist-info"
        path.mkdir()
        (path / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.9\n")
        found.append(PathDistribution(path))
    return found


def test_two_packages_in_one_folder_are_warned_of(tmp_path, caplog):
    found = faiss_packages(installed(tmp_path, "faiss-cpu", "torch", "faiss-gpu-cu12", "faiss-friend"))
    assert found == ["faiss-cpu 1.9", "faiss-gpu-cu12 1.9"]
    log_faiss(found)
    assert "faiss-cpu 1.9 and faiss-gpu-cu12 1.9 are both in the folder faiss" in caplog.text


def test_the_one_that_is_there_is_named(caplog):
    caplog.set_level(logging.INFO)
    log_faiss()
    assert f"FAISS is faiss-cpu {faiss.__version__}, for the CPU" in caplog.text


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this FAISS has GPU forms")
def test_where_gpus_are_asked_of_the_other_it_is_named():
    with pytest.raises(
        ConfigError, match=r"and here is faiss-cpu .*; uninstall that and install faiss-gpu in its place"
    ):
        to_gpu(faiss.IndexFlatIP(3))

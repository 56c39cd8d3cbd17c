"""Indexes of a lake that is not local: fetched once a host, whole, and not for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnscale.arrays.host_arrays import KEPT
from gnnscale.config import Settings
from gnnscale.lake import Lake
from gnnscale.retrieval import build_query_indexes
from gnnscale.retrieval.index.saved import building_folder, index_path, load_index
from gnnscale.schema import LakeError
from tests.retrieval.inventory_lake import LATEST, TEST, Inventory, make_inventory

QUERY = "next_week"


class FarLake(Lake):
    """A lake in a folder, whose files are put and fetched as those of an object store are."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.local = False


@pytest.fixture
def far(tmp_path: Path) -> tuple[Inventory, Settings, Lake, str]:
    """An inventory in a far lake with indexes at both anchors, and a cache."""
    inventory, cache = make_inventory(tmp_path, 500, 20), str(tmp_path / "cache")
    inventory.content["lake"]["cache"] = cache
    settings, lake = inventory.settings(index={"kind": "grouped", "nlist": 8}), FarLake(inventory.lake.uri)
    build_query_indexes(settings, lake, inventory.query, [TEST, LATEST])
    return inventory, settings, lake, cache


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_size) for path in folder.iterdir()}


def test_two_that_open_an_index_share_its_files_and_one_that_builds_has_its_own(
    far: tuple[Inventory, Settings, Lake, str],
) -> None:
    inventory, _, lake, cache = far
    first = load_index(lake, QUERY, LATEST, cache)
    files = files_of(first.folder)
    assert files and Path(cache) in first.folder.parents
    second = load_index(lake, QUERY, LATEST, cache)
    with building_folder(lake, QUERY, cache) as mine, building_folder(lake, QUERY, cache) as other:
        (mine / "ids.npy").touch()
        assert not list(other.iterdir())
    assert second.folder == first.folder and files_of(first.folder) == files
    for loaded in (first, second):
        np.testing.assert_array_equal(loaded.vectors, inventory.items)
        assert loaded.index.search(inventory.items[:5], 3).targets.shape == (5, 3)
    other = load_index(lake, QUERY, TEST, cache)
    assert other.folder != first.folder and files_of(first.folder) == files


def test_indexes_of_the_past_go_and_one_that_is_open_goes_on(far: tuple[Inventory, Settings, Lake, str]) -> None:
    inventory, settings, lake, cache = far
    first = load_index(lake, QUERY, LATEST, cache)
    found = first.index.search(inventory.items[:20], 3)
    for _ in range(KEPT + 1):
        inventory.lake.write("embeddings_items", inventory.lake.read("embeddings_items"))
        build_query_indexes(settings, lake, inventory.query, [LATEST])
        latest = load_index(lake, QUERY, LATEST, cache)
    assert latest.folder.exists() and not first.folder.exists()
    assert len([path for path in Path(cache).iterdir() if path.is_dir()]) == KEPT
    again = first.index.search(inventory.items[:20], 3)
    np.testing.assert_array_equal(again.targets, found.targets)
    np.testing.assert_array_equal(first.vectors, inventory.items)


def test_files_that_are_not_those_of_the_manifest_are_not_kept(far: tuple[Inventory, Settings, Lake, str]) -> None:
    _, _, lake, cache = far
    file = Path(lake.uri) / index_path(QUERY, LATEST) / "ids.npy"
    whole = file.read_bytes()
    for broken, says in ((whole[:-1], "ids.npy is missing or not of"), (whole[:-1] + b"?", "ids.npy is not the file")):
        file.write_bytes(broken)
        with pytest.raises(LakeError, match=f"{says} .*run the index stage again"):
            load_index(lake, QUERY, LATEST, cache)
        assert not [path for path in Path(cache).iterdir() if path.is_dir()]
    file.write_bytes(whole)
    assert load_index(lake, QUERY, LATEST, cache).index.size == 500

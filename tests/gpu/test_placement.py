"""Arrays go where they fit, or where the configuration says."""

import numpy as np
import pytest
import torch

from gnnscale.sampling import narrow_features
from gnnscale.sampling.backends.triton import placement
from gnnscale.sampling.backends.triton.placement import (
    Memory,
    Placement,
    choose_for_readers,
    choose_placement,
    place_array,
)
from gnnscale.schema import ConfigError

SIZES = {("e", "indptr"): 100, ("n", "valid_until"): 40, ("e", "times"): 1000, ("e", "neighbors"): 1000}


def places(memory: Memory, config=None) -> dict[str, str]:
    return {name: place for (_, name), place in choose_placement(SIZES, memory, Placement.of(config)).items()}


def test_each_array_takes_the_best_place_that_holds_it():
    everything = {"indptr": "device", "valid_until": "device", "times": "device", "neighbors": "device"}
    assert places(Memory(2140, 0)) == everything
    assert places(Memory(2139, 1024)) == {**everything, "neighbors": "pinned"}
    # Page-locked memory comes in powers of two.
    assert places(Memory(2139, 1023)) == {**everything, "neighbors": "mapped"}
    assert places(Memory(1000, 1024)) == {**everything, "times": "pinned", "neighbors": "mapped"}
    assert set(places(Memory(0, 0)).values()) == {"mapped"}


def test_what_is_configured_holds_and_takes_its_room_first():
    assert set(places(Memory(0, 0), "pinned").values()) == {"pinned"}
    found = places(Memory(1200, 0), {"neighbors": "device"})
    assert found == {"indptr": "device", "valid_until": "device", "times": "mapped", "neighbors": "device"}
    assert places(Memory(5000, 5000), {"times": "pinned", "valid_until": None})["times"] == "pinned"


def test_page_locked_memory_is_shared_out_to_the_processes_of_a_host(monkeypatch):
    monkeypatch.setattr(placement, "available_bytes", lambda: 8_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000, 9_000))
    assert Memory.measure(torch.device("cuda")) == Memory(600, 4_000)
    shares = [Memory.measure(torch.device("cuda"), processes=8) for _ in range(8)]
    # Each has a device of its own, and all have one host.
    assert {share.device for share in shares} == {600} and sum(share.pinned for share in shares) <= 4_000


def test_what_arrays_take_is_no_longer_there():
    placed = choose_placement(SIZES, Memory(1200, 1024), Placement())
    left = Memory(1200, 1024).without(SIZES, placed)
    assert left == Memory(1200 - 100 - 40 - 1000, 0) and placed["e", "neighbors"] == "pinned"


def test_who_lacks_one_array_gives_up_its_others():
    sizes = {
        ("a", "times"): 600,
        ("b", "times"): 300,
        ("n", "valid_until"): 50,
        ("b", "neighbors"): 300,
        ("c", "times"): 70,
    }
    readers = {
        "a": [("a", "times")],
        "b": [("b", "times"), ("b", "neighbors"), ("n", "valid_until")],
        "c": [("c", "times")],
    }

    def device(size: int, config=None) -> set[str]:
        places = choose_for_readers(sizes, readers, Memory(size, 0), Placement.of(config))
        assert list(places) == list(sizes)
        return {f"{owner} {name}" for (owner, name), place in places.items() if place == "device"}

    b = {"b times", "b neighbors", "n valid_until"}
    assert device(1320) == {"a times", "c times"} | b
    assert device(1319) == {"a times"} | b
    # Where b lacks its neighbors, its times and ends make room.
    assert device(1249) == {"a times", "c times"}
    # b and a both lack something, and b is the larger.
    assert device(599) == {"c times"}
    assert device(69) == set()
    assert device(1320, {"valid_until": "mapped"}) == {"a times", "c times"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("divice", "placement of 'indptr' is 'divice'; one of device, pinned, mapped. Did you mean 'device'"),
        ({"times": "host"}, "placement of 'times' is 'host'; one of device, pinned, mapped"),
        ({"neighbours": "device"}, "placement names an array 'neighbours'; one of .*Did you mean 'neighbors'"),
        ({"features": 3}, "placement of 'features' is '3'"),
    ],
)
def test_an_array_or_a_place_that_there_is_not_is_an_error(config, says):
    with pytest.raises(ConfigError, match=says):
        Placement.of(config)


def test_a_placed_array_has_the_same_bits(device, tmp_path):
    rng = np.random.default_rng(0)
    for name, array in {
        "keys": rng.integers(0, 2**64, 5_000, dtype=np.uint64),
        "rows": rng.standard_normal((300, 7), np.float32),
        "none": np.zeros(0, np.int32),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        for place in ("device", "pinned"):
            found = place_array(mapped, place, device)
            assert found.device.type == (device.type if place == "device" else "cpu")
            assert found.is_pinned() == (place == "pinned" and device.type == "cuda" and array.size > 0)
            assert found.cpu().numpy().tobytes() == array.tobytes()


def test_an_array_of_several_chunks_comes_whole(monkeypatch):
    monkeypatch.setattr(narrow_features, "CHUNK_BYTES", 100)
    array = np.arange(33 * 4, dtype=np.int32).reshape(33, 4)
    assert torch.equal(place_array(array, "device", torch.device("cpu")), torch.from_numpy(array))


def test_there_is_memory_to_measure(device):
    memory = Memory.measure(device)
    assert memory.device > 2**20
    assert (memory.pinned > 2**20) == (device.type == "cuda")

"""Where the arrays of a graph live: on the device, in page-locked host memory that it reads in place, or mapped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from gnnscale.sampling.narrow_features import chunks
from gnnscale.schema import ConfigError, nearest

Location = Literal["device", "pinned", "mapped"]
LOCATIONS: tuple[str, ...] = get_args(Location)

_DEVICE_SHARE, _HOST_SHARE = 0.6, 0.5
"""Of what is free: the rest of the device is for the model and its batches, the rest of the host for all else."""

Key = tuple[str, str]
"""Whose array, and which of :class:`Placement`'s."""


@dataclass(frozen=True)
class Placement:
    """Where the configuration wants each array, or None to have it chosen by size.

    ``device`` memory is the fastest. ``pinned`` is page-locked memory of the host, which kernels read over the bus
    where they need it. What is ``mapped`` stays in its file: the host reads it, and what was sampled or gathered is
    copied to the device.

    Args:
        indptr, neighbors, times, cumulative: arrays of every :class:`gnnscale.store.Adjacency`.
        ends: when the nodes of a table end.
        features: of the nodes of a table.
        codes: of its categorical columns.

    Raises:
        ConfigError: a location that there is not.
    """

    indptr: Location | None = None
    neighbors: Location | None = None
    times: Location | None = None
    cumulative: Location | None = None
    valid_until: Location | None = None
    features: Location | None = None
    codes: Location | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            location = getattr(self, field.name)
            if location is not None and location not in LOCATIONS:
                close = nearest(str(location), LOCATIONS)
                raise ConfigError(f"placement of '{field.name}' is '{location}'; one of {', '.join(LOCATIONS)}.{close}")

    @classmethod
    def of(cls, config: Placement | Mapping[str, Any] | str | None) -> Placement:
        """From configuration: a location for all arrays, array -> location for some, or None to have all chosen.

        Raises:
            ConfigError: an array or a location that there is not.
        """
        if isinstance(config, Placement):
            return config
        names = [field.name for field in fields(cls)]
        if config is None or isinstance(config, str):
            return cls(**dict.fromkeys(names, config))
        for name in config:
            if name not in names:
                raise ConfigError(
                    f"placement names an array '{name}'; one of {', '.join(names)}.{nearest(str(name), names)}"
                )
        return cls(**config)


@dataclass(frozen=True)
class Memory:
    """Bytes that the arrays of a graph may take.

    Args:
        device: of the device's memory.
        pinned: of the host's memory, page-locked.
    """

    device: int
    pinned: int

    @classmethod
    def measure(cls, device: torch.device, processes: int = 1) -> Memory:
        """Six tenths of what is free on the device, and this process's part of half of what the host has to give.

        Args:
            device: of this process.
            processes: of this host that place arrays, each on a device of its own.
        """
        host = available_bytes() // processes
        if device.type != "cuda":
            return cls(int(host * _DEVICE_SHARE), 0)
        return cls(int(torch.cuda.mem_get_info(device)[0] * _DEVICE_SHARE), int(host * _HOST_SHARE))

    def without(self, sizes: Mapping[Key, int], placed: Mapping[Key, Location]) -> Memory:
        """What is left beside some arrays.

        Args:
            sizes: array -> bytes.
            placed: where they are.
        """
        left = {"device": self.device, "pinned": self.pinned}
        for key, location in placed.items():
            if location != "mapped":
                left[location] -= _taken(sizes[key], location)
        return Memory(left["device"], left["pinned"])


def choose_placement(sizes: Mapping[Key, int], memory: Memory, wanted: Placement) -> dict[Key, Location]:
    """A location for each array: on the device if it fits beside those before it, else pinned if it fits, else mapped.

    Args:
        sizes: array -> bytes, those that are read most first.
        memory: what there is; arrays that the configuration places take theirs first, fit or not.
        wanted: what the configuration says.
    """
    placed: dict[Key, Location] = {}
    left = {"device": memory.device, "pinned": memory.pinned}
    for key, size in sizes.items():
        fixed: Location | None = getattr(wanted, key[1])
        if fixed is not None:
            placed[key] = fixed
            if fixed != "mapped":
                left[fixed] -= _taken(size, fixed)
    for key, size in sizes.items():
        if key in placed:
            continue
        placed[key] = "mapped"
        for location in ("device", "pinned"):
            if _taken(size, location) <= left[location]:
                placed[key] = location
                left[location] -= _taken(size, location)
                break
    return {key: placed[key] for key in sizes}


def choose_for_readers(
    sizes: Mapping[Key, int], readers: Mapping[str, Collection[Key]], memory: Memory, wanted: Placement
) -> dict[Key, Location]:
    """As :func:`choose_placement`, where who reads an array that is mapped has no use for its others elsewhere.

    The largest of those that lack an array gives way, until all that are left have what they read.

    Args:
        sizes: as of :func:`choose_placement`.
        readers: name -> arrays that it reads, of which some may be shared.
        memory, wanted: as of :func:`choose_placement`.
    """
    left = {name: keys for name, keys in readers.items() if all(getattr(wanted, key[1]) != "mapped" for key in keys)}
    while True:
        needed = {key: size for key, size in sizes.items() if any(key in keys for keys in left.values())}
        placed = choose_placement(needed, memory, wanted)
        lacking = [name for name, keys in left.items() if any(placed[key] == "mapped" for key in keys)]
        if not lacking:
            return {key: placed.get(key, "mapped") for key in sizes}
        del left[max(lacking, key=lambda name: sum(sizes[key] for key in left[name]))]


def place_array(
    array: NDArray[Any] | torch.Tensor,
    location: Location,
    device: torch.device,
    dtype: torch.dtype | None = None,
    convert: Callable[[torch.Tensor], torch.Tensor] = lambda part: part,
) -> torch.Tensor:
    """Copy an array to where kernels of the device read it.

    Args:
        array: mapped or not; never held twice in memory on the way. uint64 becomes int64 of the same bits.
        location: ``device``, or ``pinned``; where the device is the CPU (Triton's interpreter), both are plain memory.
        device: whose kernels read it.
        dtype: of the copy; default: the array's.
        convert: some rows, on the host, to that type.
    """
    assert location != "mapped"
    if isinstance(array, np.ndarray):
        array = array.view(np.int64) if array.dtype == np.uint64 else array
    dtype = dtype or dtype_of(array)
    if location == "pinned" and device.type == "cuda":
        target = torch.empty(tuple(array.shape), dtype=dtype, pin_memory=True)
    else:
        target = torch.empty(tuple(array.shape), dtype=dtype, device=device)
    for rows in chunks(array):
        part = array[rows]
        # What is mapped may not be written, which torch warns of; a copy of a part may.
        target[rows] = convert(torch.from_numpy(np.array(part)) if isinstance(part, np.ndarray) else part)
    return target


def dtype_of(array: NDArray[Any] | torch.Tensor) -> torch.dtype:
    """The type of an array's values as torch has it."""
    return torch.from_numpy(np.empty(0, array.dtype)).dtype if isinstance(array, np.ndarray) else array.dtype


def _taken(size: int, location: str) -> int:
    # Torch takes page-locked memory in powers of two.
    return 1 << (size - 1).bit_length() if location == "pinned" and size else size


def available_bytes() -> int:
    """Of the host's memory, within what a container may use."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        available = min(available, max(0, int(text) - int(used.read_text())))
    return available

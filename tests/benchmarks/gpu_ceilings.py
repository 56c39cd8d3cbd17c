"""What a GPU can do at most, which the other figures stand beside: copies, a matrix product, reads at random places.

Bytes of a copy within the device count as they are read and as they are written; those of other reads count once. Rows
are of 512 bytes, as 128 features in fp32 are.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import torch

from tests.benchmarks.measure import arguments, surroundings
from tests.benchmarks.on_device import best_seconds, name_of, tell

CHANNELS = 128
FULL = {"bytes": 4 << 30, "matrix": 8192, "rows": 4_000_000, "reads": 2_000_000}


def main() -> None:
    """Run, and print one line a figure."""
    arguments(__doc__ or "")
    if not torch.cuda.is_available() or find_spec("triton") is None:
        sys.exit("gpu_ceilings needs a CUDA device, a torch built for CUDA and triton; here is none")
    tell({"figure": "surroundings", **surroundings(("torch", "triton", "numpy"))})
    measure(torch.device("cuda"), FULL)


def measure(device: torch.device, sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Every figure on a device."""
    found = [copies(device, sizes["bytes"]), product(device, sizes["matrix"])]
    for place in ("device", "pinned"):
        found += reads(device, place, sizes["rows"], sizes["reads"])
    return [tell({"card": name_of(device), **row}) for row in found]


def copies(device: torch.device, size: int) -> dict[str, Any]:
    """Half of so many bytes within the device."""
    values = torch.empty(size // 8, device=device)
    copied = torch.empty_like(values)
    seconds = best_seconds(lambda: copied.copy_(values), device)
    return {"figure": "copy_on_device", "gb_per_second": rate(2 * values.nbytes, seconds)}


def product(device: torch.device, side: int) -> dict[str, Any]:
    """Two square matrices in bf16."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = best_seconds(lambda: left @ right, device)
    return {"figure": "matrix_product_bf16", "tflops": round(2 * side**3 / seconds / 1e12, 4)}


def reads(device: torch.device, place: str, rows: int, count: int) -> list[dict[str, Any]]:
    """From one place: all rows in order, and some at random places, by the kernel that gathers features."""
    from gnnscale.sampling.backends.triton.device_features import FeatureTable, gather

    table = FeatureTable.of(torch.rand(rows, CHANNELS), device, place)  # type: ignore[arg-type]
    chosen = torch.randint(0, rows, (count,), device=device, dtype=torch.int32)
    seconds = best_seconds(lambda: gather(table, chosen), device)
    found = [{"figure": f"random_rows_{place}", "rows_per_second": round(count / seconds)}]
    found[0]["gb_per_second"] = rate(4 * CHANNELS * count, seconds)
    if place == "pinned":
        values = table.values
        assert isinstance(values, torch.Tensor)
        there = torch.empty(values.shape, device=device)
        seconds = best_seconds(lambda: there.copy_(values, non_blocking=True), device)
        found.append({"figure": "copy_from_page_locked", "gb_per_second": rate(values.nbytes, seconds)})
    return found


def rate(size: int, seconds: float) -> float:
    """Gigabytes a second."""
    return round(size / seconds / 1e9, 2)


if __name__ == "__main__":
    main()

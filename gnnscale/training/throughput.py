"""How fast training goes: seeds and edges a second, and the share of the time that it waits for batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch

from gnnscale.training.memory import peak_memory

THROUGHPUT = ("seeds_per_second", "edges_per_second", "loader_wait", "peak_memory_gb", "peak_device_gb")
"""Figures of :meth:`Throughput.figures`; the last one is there where a CUDA device trains."""


class Throughput:
    """Counts since it was made, or since :meth:`restart`.

    Args:
        device: that trains; default: the CPU.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.restart()

    def restart(self) -> None:
        """Count from here."""
        self._started = time.monotonic()
        self._seeds, self._edges, self._waited = 0, 0, 0.0

    def count(self, seeds: int, edges: int, waited: float) -> None:
        """One step.

        Args:
            seeds: examples of the global batch.
            edges: that were sampled for it, by all workers.
            waited: seconds in which the batch was not there yet.
        """
        self._seeds += seeds
        self._edges += edges
        self._waited += waited

    def figures(self) -> dict[str, float]:
        """``seeds_per_second`` and ``edges_per_second`` of all workers together, ``loader_wait`` of this process as a
        share of the time, and the most memory that this process has taken so far, of the host and of a GPU."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        figures = {
            "seeds_per_second": self._seeds / seconds,
            "edges_per_second": self._edges / seconds,
            "loader_wait": self._waited / seconds,
            "peak_memory_gb": peak_memory() / 1e9,
        }
        if self.device.type == "cuda":
            figures["peak_device_gb"] = torch.cuda.max_memory_allocated(self.device) / 1e9
        return figures


def total_edges(counts: Sequence[int | torch.Tensor], device: torch.device) -> torch.Tensor:
    """Their sum, float64, on a device, which is not waited for.

    Args:
        counts: numbers, and tensors of one number on the device.
        device: of the sum.
    """
    known = sum(count for count in counts if isinstance(count, int))
    there = [count.reshape(1) for count in counts if isinstance(count, torch.Tensor)]
    total = torch.full((), float(known), dtype=torch.float64, device=device)
    return total + torch.cat(there).sum() if there else total


def throughput_in_words(figures: Mapping[str, float]) -> str:
    """The figures of :meth:`Throughput.figures` in a few words, for people."""
    edges, unit = figures["edges_per_second"], ""
    for unit in ("", " k", " M", " G"):
        if edges < 1000 or unit == " G":
            break
        edges /= 1000
    return (
        f"{figures['seeds_per_second']:.0f} seeds/s, {edges:.3g}{unit} edges/s, "
        f"waiting {figures['loader_wait']:.0%}, {figures['peak_memory_gb']:.1f} GB"
        + (f", {figures['peak_device_gb']:.1f} GB of the GPU" if "peak_device_gb" in figures else "")
    )

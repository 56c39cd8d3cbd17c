"""The neighbor sampler on a GPU, in Triton: the same samples as the CPU's, bit for bit.

The only code of the samplers that imports torch and triton, and only when a GPU is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.keys import UInt64
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import SAMPLERS
from gnnscale.store import Adjacency

if TYPE_CHECKING:
    from gnnscale.sampling.backends.triton.neighbor_kernel import AdjacencyTensors


@SAMPLERS.register("triton")
class TritonBackend:
    """The kernel between arrays of the host: edges are copied to the GPU once, frontiers and samples each time.

    Raises:
        ConfigError: triton is not installed, or torch sees no CUDA device (kernels run on the CPU under Triton's
            interpreter).
    """

    def __init__(self) -> None:
        from gnnscale.sampling.backends.triton.device_sampler import find_device
        from gnnscale.sampling.backends.triton.neighbor_kernel import is_interpreted

        self.device = find_device("cpu" if is_interpreted() else "cuda")
        # The arrays are kept with their copies, so that the id stays theirs.
        self._placed: dict[int, tuple[Adjacency, AdjacencyTensors]] = {}

    def fill_neighbors(
        self,
        adjacency: Adjacency,
        frontier: NDArray[np.int32],
        anchors: NDArray[np.int32],
        keys: UInt64,
        rule: Rule,
        nodes: NDArray[np.int32],
        times: NDArray[np.int32],
    ) -> None:
        """As :meth:`gnnscale.sampling.SamplerBackend.fill_neighbors`."""
        import torch

        from gnnscale.sampling.backends.triton.neighbor_kernel import sample_neighbors

        # What is mapped may not be written, which torch warns of; copies may.
        asked, limits, bits = (
            torch.from_numpy(np.array(array)).to(self.device) for array in (frontier, anchors, keys.view(np.int64))
        )
        found = sample_neighbors(self._place(adjacency), asked, limits, bits, nodes.shape[-1], rule)
        nodes[:], times[:] = (tensor.cpu().numpy() for tensor in found)

    def _place(self, adjacency: Adjacency) -> AdjacencyTensors:
        """The edges on the device."""
        from gnnscale.sampling.backends.triton.neighbor_kernel import AdjacencyTensors
        from gnnscale.sampling.backends.triton.placement import place_array

        key = id(adjacency.neighbors)
        if key not in self._placed:
            arrays = {name: getattr(adjacency, name) for name in ("indptr", "neighbors", "times", "cumulative")}
            tensors = {n: place_array(a, "device", self.device) for n, a in arrays.items() if a is not None}
            self._placed[key] = adjacency, AdjacencyTensors(**tensors)
        return self._placed[key][1]

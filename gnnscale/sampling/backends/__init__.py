"""The neighbor sampler three times over, bit for bit the same: numpy, numba and triton."""

"""Tests; what they set here is read when the libraries that compute are loaded, so before the tests import them."""

import os

# Threads that spin while they wait take the core from the one that they wait for, where tests run beside one another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores as it is: a fit of boosted trees took ten times as long with two threads each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

"""Settings that leave network, convolution and loss open load nothing of it; no network loads scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json, sys
from gnnscale.config import build_settings
from gnnscale.schema import NETWORKS
settings = build_settings(json.loads(sys.argv[1]))
print("torch" in sys.modules, settings.model.network, settings.training.loss)
NETWORKS.names()
print("sklearn" in sys.modules)
"""


@pytest.mark.parametrize(("network", "loaded"), [("auto", False), ("blocks", True)])
def test_torch_is_loaded_where_an_implementation_is_named(
    shop_content: dict[str, Any], network: str, loaded: bool
) -> None:
    content = {**shop_content, "model": {**shop_content["model"], "network": network}}
    given = [sys.executable, "-c", PROGRAM, json.dumps(content)]
    done = subprocess.run(given, capture_output=True, text=True, check=True)
    # No network needs scikit-learn to be built, which is a second of every worker's start.
    assert done.stdout.split() == [str(loaded), network, "auto", "False"]

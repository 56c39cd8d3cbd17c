"""Settings that leave the network, its convolution and the loss open load nothing that a network needs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json, sys
from gnnscale.config import build_settings
settings = build_settings(json.loads(sys.argv[1]))
print("torch" in sys.modules, settings.model.network, settings.training.loss)
"""


@pytest.mark.parametrize(("network", "loaded"), [("auto", False), ("blocks", True)])
def test_torch_is_loaded_where_an_implementation_is_named(
    shop_content: dict[str, Any], network: str, loaded: bool
) -> None:
    content = {**shop_content, "model": {**shop_content["model"], "network": network}}
    given = [sys.executable, "-c", PROGRAM, json.dumps(content)]
    done = subprocess.run(given, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(loaded), network, "auto"]

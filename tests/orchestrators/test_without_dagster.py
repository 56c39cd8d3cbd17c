"""Where Dagster is not installed, who asks for assets is told how it is."""

from importlib.util import find_spec

import pytest

from gnnscale.schema import ConfigError


@pytest.mark.skipif(find_spec("dagster") is not None, reason="Dagster is installed")
def test_it_is_told_how_it_is_installed() -> None:
    from gnnscale import orchestrators

    with pytest.raises(ConfigError, match=r"pip install 'gnnscale\[dagster\]'"):
        orchestrators.stage_assets("complete_journey")

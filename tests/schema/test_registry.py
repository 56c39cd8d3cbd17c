"""Implementations are found by name: beside their siblings, by entry points, or since a program registered them."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gnnscale.schema import CONVOLUTIONS, TEXT_ENCODERS, ConfigError, Registry, add_implementations
from gnnscale.schema.registry import added_implementations


class Plain:
    """Something to register."""


class Other:
    """Something else."""


def test_siblings_are_found_where_they_live():
    assert {"hashed", "sentence_transformers"} <= set(TEXT_ENCODERS.names())
    assert {"mean", "sum", "max", "attention", "importance"} <= set(CONVOLUTIONS.names())
    assert CONVOLUTIONS.find("mean").__name__ == "SAGEConv"


def test_an_unknown_name_is_an_error_with_the_nearest_and_all_that_are_allowed():
    with pytest.raises(ConfigError, match=r"no convolution 'men'. Did you mean 'mean'\?.*Allowed: .*importance"):
        CONVOLUTIONS.find("men")


def test_a_name_belongs_to_one_and_a_cell_may_run_twice():
    registry = Registry[type]("thing", "gnnscale.schema")
    registry.register("plain")(Plain)
    again = type("Plain", (), {"__qualname__": "Plain"})
    registry.register("plain")(again)
    assert registry.find("plain") is again
    with pytest.raises(ConfigError, match=r"thing 'plain' is registered twice, by .*Plain and .*Other"):
        registry.register("plain")(Other)


def test_what_is_registered_for_a_while_is_unknown_afterwards():
    registry = Registry[type]("convolution", "gnnscale.nn.conv")
    registry.register("plain")(Plain)
    known = registry.names()
    with registry.temporarily({"other": Other}):
        registry.register("third")(Other)
        assert registry.find("other") is registry.find("third") is Other
    assert registry.names() == known and registry.find("plain") is Plain
    with pytest.raises(ConfigError, match="there is no convolution 'other'"):
        registry.find("other")
    with pytest.raises(ConfigError, match="registered twice"), registry.temporarily({"new": Other, "plain": Other}):
        pass
    assert registry.names() == known
    # Siblings that are first looked for within stay.
    with TEXT_ENCODERS.temporarily():
        assert "hashed" in TEXT_ENCODERS.names()
    assert "hashed" in TEXT_ENCODERS.names()


def test_what_a_program_adds_is_known_to_who_works_for_it():
    registry = Registry[type]("carried", "gnnscale.schema")
    with registry.temporarily({"plain": Plain}):
        sent = pickle.loads(pickle.dumps(added_implementations()))
    assert sent["carried"] == {"plain": (__name__, Plain)}
    assert not registry.added()
    add_implementations(sent)
    assert registry.find("plain") is Plain
    # What is gnnscale's own is not sent.
    assert "mean" not in sent.get("convolution", {})


UNDECORATED = "class Brought:\n    pass\n"
DECORATED = """
from gnnscale.schema import TEXT_ENCODERS


@TEXT_ENCODERS.register("brought")
class Brought:
    pass


@TEXT_ENCODERS.register("sibling")
class Sibling:
    pass
"""


@pytest.mark.parametrize("source", [UNDECORATED, DECORATED])
@pytest.mark.parametrize("imported", ["", "import brought"])
def test_another_package_brings_its_own_by_an_entry_point(tmp_path: Path, source: str, imported: str):
    (tmp_path / "brought.py").write_text(source)
    info = tmp_path / "brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    sibling = "sibling = brought:Sibling\n" if source == DECORATED else ""
    (info / "entry_points.txt").write_text(f"[gnnscale.text_encoder]\nbrought = brought:Brought\n{sibling}")
    program = f"""
        import sys
        from gnnscale.schema import TEXT_ENCODERS, added_implementations
        assert "brought" in TEXT_ENCODERS.names() and "brought" not in sys.modules
        {imported}
        assert TEXT_ENCODERS.find("brought").__name__ == "Brought"
        # Whoever works for this program finds them as it has.
        assert not added_implementations()
    """
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    run = subprocess.run([sys.executable, "-c", path + textwrap.dedent(program)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

"""The user's own folder in the temporary folder is taken where nobody else can write to it, and nowhere else."""

import os
import tempfile
from pathlib import Path

import pytest

from gnnscale.arrays import memory_limits, name_folder, private_folder, temporary_files_in
from gnnscale.schema import LakeError


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"gnnscale-{os.getuid()}"


def test_it_is_made_private_and_kept_so(temporary: Path) -> None:
    assert private_folder() == temporary and temporary.stat().st_mode & 0o777 == 0o700
    temporary.chmod(0o755)
    assert name_folder(None, "graph", "a", "b").parent == temporary
    assert temporary.stat().st_mode & 0o777 == 0o700


def test_a_link_a_file_and_a_folder_that_others_write_to_are_refused(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    temporary.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LakeError, match="is a symbolic link"):
        private_folder()
    temporary.unlink()
    temporary.write_text("")
    with pytest.raises(LakeError, match="has to be a folder"):
        private_folder()
    temporary.unlink()
    temporary.mkdir()
    temporary.chmod(0o777)
    with pytest.raises(LakeError, match="drwxrwxrwx"):
        private_folder()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_folder_of_somebody_else_is_refused(temporary: Path) -> None:
    temporary.mkdir(mode=0o700)
    os.chown(temporary, 12345, -1)
    with pytest.raises(LakeError, match="of user 12345"):
        private_folder()


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_s_limit_counts_where_it_is_less_than_the_machine_has(tmp_path: Path, name: str) -> None:
    whole = memory_limits(tmp_path)
    assert whole.source == "this machine" and whole.memory > 1 << 30
    (tmp_path / "memory").mkdir()
    (tmp_path / name).write_text("max")
    assert memory_limits(tmp_path) == whole
    (tmp_path / name).write_text(f"{1200 << 20}\n")
    found = memory_limits(tmp_path)
    assert found.memory == 1200 << 20 and name in found.source


def test_what_libraries_write_meanwhile_comes_into_another_folder(temporary: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()

    def write() -> None:
        with temporary_files_in(one):
            with temporary_files_in(other):
                assert Path(tempfile.mkdtemp()).parent == other
                # The user's own folder stays where it is.
                assert private_folder() == temporary
            assert Path(tempfile.mkdtemp()).parent == one and private_folder() == temporary
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert tempfile.gettempdir() == str(tmp_path)

"""Arrays are mapped over room that is theirs, and one that has no room is an error that says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gnnscale.arrays.array_file import create_array
from gnnscale.schema import LakeError

FILLED = """
import sys
from pathlib import Path
import numpy as np
from gnnscale.schema import LakeError
from gnnscale.arrays.array_file import create_array
folder, whole = Path(sys.argv[1]), 600 * 1024
first = create_array(folder / "first.npy", np.uint8, (whole,))
try:
    create_array(folder / "second.npy", np.uint8, (whole,))
except LakeError as error:
    print(error)
# What was promised is there, though nothing is left beside it.
with (folder / "other").open("wb", buffering=0) as other:
    try:
        while other.write(bytes(4096)):
            pass
    except OSError:
        pass
first[:] = 1
first.flush()
"""
SMALL_DISK = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'


@pytest.mark.parametrize("shape", [(40_000, 3), (0,), (0, 4), (5, 0)])
def test_it_is_an_array_of_zeros_whose_room_is_taken(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file = tmp_path / "array.npy"
    file.write_bytes(b"of an earlier run")
    array = create_array(file, np.float32, shape)
    assert isinstance(array, np.memmap) and array.shape == shape and not array.any()
    assert file.stat().st_blocks * 512 >= array.nbytes, "no block is missing that a write would need"
    array[...] = 2
    array.flush()
    np.testing.assert_array_equal(np.load(file), np.full(shape, 2, np.float32))


def test_what_no_disk_has_room_for_is_refused_before_anything_is_taken(tmp_path: Path) -> None:
    says = rf"array.npy in {tmp_path} needs 4,000,000,000,000,000 bytes, and the disk has [\d,]+ free; make room"
    with pytest.raises(LakeError, match=says):
        create_array(tmp_path / "array.npy", np.float32, (10**12, 1000))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_kills_nobody(tmp_path: Path) -> None:
    command = [*SMALL_DISK, MOUNT, "sh", str(tmp_path), sys.executable]
    if subprocess.run([*command, "pass"], capture_output=True).returncode != 0:
        pytest.skip("this user can't mount a small disk")
    found = subprocess.run([*command, FILLED], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    assert f"second.npy in {tmp_path} needs 614,400 bytes, and the disk has" in found.stdout

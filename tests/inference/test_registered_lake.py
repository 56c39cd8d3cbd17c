"""A model that MLflow keeps in its lake finds it wherever the lake is."""

from pathlib import Path

import pytest

from gnnscale.inference.registered_model import find_lake
from gnnscale.lake import Lake
from gnnscale.schema import MANIFEST_NAME, LakeError


def test_the_lake_is_the_one_that_the_model_s_folder_is_in(tmp_path: Path) -> None:
    file = tmp_path / "lake" / "mlartifacts" / "models" / "m-1" / "artifacts" / "artifacts" / "model.pt"
    file.parent.mkdir(parents=True)
    with pytest.raises(LakeError, match=r"is in no lake; name it as in mlflow\.pyfunc\.load_model"):
        find_lake(file)
    Lake(tmp_path / "lake").write_record(MANIFEST_NAME, {})
    assert find_lake(file) == str(tmp_path / "lake")
    (tmp_path / "lake").rename(tmp_path / "moved")
    assert find_lake(tmp_path / "moved" / file.relative_to(tmp_path / "lake")) == str(tmp_path / "moved")

"""A key that is none is told, and where it is one as text, or as a number, that too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from gnnscale.inference import AnswerModel
from gnnscale.schema import DataError


def model(keys: pa.Array) -> AnswerModel:
    found = AnswerModel()
    found.query = SimpleNamespace(entity=SimpleNamespace(name="users", primary_key="no"))
    found.entity_keys = keys
    found._known = pd.Index(keys.to_pandas())
    return found


@pytest.mark.parametrize(
    ("keys", "asked", "says"),
    [
        (pa.array([7, 10000]), ["10000"], "^'10000' is no no of 'users'; keys are numbers, and 10000 is one$"),
        (pa.array([7, 10000]), ["1.5"], "^'1.5' is no no of 'users'$"),
        (pa.array([7, 10000]), [8], "^8 is no no of 'users'$"),
        (pa.array(["7", "x"]), [7], "^7 is no no of 'users'; keys are text, and '7' is one$"),
        (pa.array(["7", "x"]), ["y", 9], "^'y', 9 are none of the keys no of 'users'$"),
    ],
)
def test_a_key_of_another_type_is_pointed_at(keys: pa.Array, asked: list[Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        model(keys).nodes_of(pd.Series(asked, dtype=object))


def test_known_keys_have_their_nodes() -> None:
    assert model(pa.array([7, 10000])).nodes_of(pd.Series([10000, 7], dtype=object)).tolist() == [1, 0]

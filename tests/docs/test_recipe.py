"""The recipe that the docs show is whole: it is checked as any, and its query fits its tables."""

import pandas as pd

from gnnscale.config import load_settings
from gnnscale.pipeline.preflight import check_inputs
from tests.docs.pages import blocks


def test_the_recipe_of_the_docs_is_whole(tmp_path, monkeypatch):
    (recipe,) = [block for block in blocks("yaml") if "query: >-" in block.content]
    (tmp_path / "raw").mkdir()
    pd.DataFrame({"user_id": [1, 2]}).to_csv(tmp_path / "raw" / "users.csv", index=False)
    orders = pd.DataFrame({"user_id": [1], "item_id": ["a"], "ordered_at": ["31/01/2024 08:26"]})
    orders.to_parquet(tmp_path / "raw" / "orders.parquet")
    (tmp_path / "shop.yaml").write_text(recipe.content)
    monkeypatch.chdir(tmp_path)
    query = check_inputs(load_settings("shop.yaml"))
    assert (query.entity.name, query.target.name, query.top) == ("users", "items", 10)
    assert query.entity_link.name == "orders.user_id"

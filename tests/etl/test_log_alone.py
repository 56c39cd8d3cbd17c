"""A log alone makes a graph: keys that it mentions are rows, and two of its columns name one table."""

import numpy as np
import pandas as pd

from gnnscale.config import build_settings
from gnnscale.etl.graph.graph_stage import build_graph
from gnnscale.etl.labels.label_stage import build_labels
from gnnscale.lake import Lake
from gnnscale.pipeline.preflight import check_inputs
from gnnscale.query.bound import aggregates

DAY = 86_400
START = 1_704_067_200
TEXT = """PREDICT COUNT(transfers.* BY sender, 0, 7, days) = 0 FOR EACH accounts.account
WHERE COUNT(transfers.* BY receiver, -30, 0, days) > 0"""


def test_transfers_between_accounts_that_have_no_table(spark, tmp_path):
    draw = np.random.default_rng(0)
    rows = pd.DataFrame({"sender": draw.integers(1, 9, 300), "receiver": draw.integers(1, 9, 300)})
    rows["at"] = (START + draw.integers(0, 90 * DAY, 300)) * 1_000
    rows["note"], rows["receipt_no"], rows["fileId"] = 'said ""yes"", twice', np.arange(300), np.arange(300)
    rows["branch_id"] = draw.choice([7, 8, 1234567890123456789], 300)
    rows.to_csv(tmp_path / "transfers.csv", index=False)
    content = {
        "recipe": "transfers",
        "lake": {"uri": str(tmp_path / "lake")},
        "tables": {
            "transfers": {"source": str(tmp_path / "transfers.csv"), "time_column": "at"},
            "accounts": {"primary_key": "account", "keys_from": ["transfers.sender", "transfers.receiver"]},
        },
        "query": {"name": "quiet", "text": TEXT},
        "anchors": {"train": 4},
    }
    settings = build_settings(content)
    query = check_inputs(settings)
    assert [aggregate.link.column for aggregate in aggregates(query.expression, query.where)] == ["sender", "receiver"]
    lake = Lake(settings.lake.uri)
    manifest = build_graph(spark, lake, settings)
    assert manifest.table("accounts").rows == 8
    assert {link.link.name for link in manifest.links} == {"transfers.sender", "transfers.receiver"}
    # Ids are no amounts: they are categories where they repeat, and no features where they don't.
    note, branch = manifest.table("transfers").features
    assert (note.column, branch.column, branch.type) == ("note", "branch_id", "categorical")
    assert set(branch.categories) == {"7", "8", "1234567890123456789"}
    build_labels(spark, lake, settings, manifest)
    labels = lake.read("labels_quiet").to_pandas()
    keys = lake.read("ids_accounts").to_pandas().set_index("node_id")["key"]
    at = rows["at"] / 1_000
    for label in labels.itertuples():
        key, time = keys[label.entity], label.anchor_time
        sent = rows[(rows["sender"] == key) & (at > time) & (at <= time + 7 * DAY)]
        got = rows[(rows["receiver"] == key) & (at > time - 30 * DAY) & (at <= time)]
        assert bool(label.target) == (len(sent) == 0) and len(got)

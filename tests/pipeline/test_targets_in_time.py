"""Targets with a time of their own are neither scored nor learned from before they exist."""

from __future__ import annotations

import numpy as np
import torch

from gnnscale.batches import BatchBuilder, Examples
from gnnscale.config import bind_query, build_settings
from gnnscale.nn import build_model
from gnnscale.nn.two_branch import NOT_YET
from gnnscale.store import GraphStore
from tests.conftest import Shop

QUERY = "PREDICT LIST_DISTINCT(mailings.campaign_id, 0, 30, days) RANK TOP 3 FOR EACH customers.customer_id"


def test_a_campaign_that_has_not_started_is_no_candidate_no_negative_and_no_positive(
    shop: Shop, store: GraphStore
) -> None:
    content = {
        **shop.content,
        "query": {"name": "mailed", "text": QUERY},
        "sampling": {
            "entity_hops": [{"mailings.customer_id": 8}, {"mailings.campaign_id": 1}],
            "target_hops": [{"mailings.campaign_id": 4}],
        },
        "model": {**shop.content["model"], "group_columns": []},
    }
    settings = build_settings(content)
    query = bind_query(settings, shop.manifest)
    builder = BatchBuilder(store, query, settings.sampling, (), 0)
    starts = np.asarray(store.features("campaigns").times)
    anchor = int(np.sort(starts)[2])
    campaigns = np.arange(len(starts))

    targets = builder.build_targets(campaigns, anchor)
    assert targets.valid.tolist() == (starts <= anchor).tolist()
    assert 0 < int(targets.valid.sum()) < len(campaigns)

    model = build_model(settings, query, shop.manifest, builder.context_tables).eval()
    bias = model.encode_targets(targets)[:, -1]
    assert (bias[~targets.valid] == NOT_YET).all()
    assert (bias[targets.valid].abs() < 1e3).all()

    everyone = np.arange(40)
    truth = np.tile(campaigns, len(everyone))
    indptr = np.arange(len(everyone) + 1) * len(campaigns)
    batch = builder.build(Examples(everyone, np.full(40, anchor, np.int32), indptr, truth), negatives=campaigns)
    started = torch.from_numpy(starts <= anchor)
    assert started[batch.candidate_node].all()
    assert started[batch.targets.nodes[batch.explore_target]].all()
    assert batch.known[:, ~started].all()

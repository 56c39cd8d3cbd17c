"""The transformer over actions: what a position sees, and what is estimated beside it."""

import numpy as np
import pytest
import torch

from gnnscale.config import SequenceSettings
from gnnscale.nn import SequenceTowers, set_dropout_step
from gnnscale.nn.sequence.target_share import TargetShare
from gnnscale.nn.sequence.time_features import TimeFeatures
from gnnscale.schema import ConfigError, TableManifest
from tests.batches.sequences.logs import ITEMS, builder_of, random_log


def towers_of(dropout=0.0, **options):
    torch.manual_seed(0)
    settings = SequenceSettings(length=8, heads=2, numbers=("n",), **options)
    return SequenceTowers(settings, TableManifest("items", ITEMS, None, ()), (3,), True, 16, 8, dropout, "lookup")


def all_positions(log, entity, end, width=8):
    start = max(log.indptr[entity], end - width)
    return np.zeros(end - start, np.int64), np.arange(start, end)


def test_an_action_sees_those_before_it_alone():
    log, model = random_log(), towers_of().eval()
    entity = int(np.diff(log.indptr).argmax())
    end = int(log.indptr[entity]) + 8
    builder = builder_of(log)
    batch = builder.build(np.array([entity]), np.array([end]), all_positions(log, entity, end))
    # Ages count from the latest action: they are left out of what is compared.
    plain = towers_of(time_features=("gap",)).eval()
    whole = plain.encode_entities(batch)
    for length in range(1, 8):
        cut = int(log.indptr[entity]) + length
        part = builder.build(np.array([entity]), np.array([cut]), all_positions(log, entity, cut))
        torch.testing.assert_close(plain.encode_entities(part), whole[:length], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model.encode_entities(batch), whole)
    both = towers_of(time_features=("gap",), causal=False).eval()
    assert not torch.allclose(both.encode_entities(part)[0], both.encode_entities(batch)[0], atol=1e-3)


@pytest.mark.parametrize("causal", [True, False])
def test_a_sequence_is_the_same_alone_and_filled_up_beside_others(causal):
    log, model = random_log(), towers_of(causal=causal).eval()
    entities = np.arange(log.entities)
    whole = model.encode_entities(builder_of(log).build(entities, log.indptr[1:]))
    for entity in entities:
        alone = model.encode_entities(builder_of(log).build(entities[entity : entity + 1], log.indptr[[entity + 1]]))
        torch.testing.assert_close(alone[0], whole[entity], atol=1e-5, rtol=1e-5)


def test_drop_out_of_an_action_does_not_depend_on_its_batch():
    log, model = random_log(), towers_of(dropout=0.5).train()
    set_dropout_step(model, 7)
    entities = np.arange(log.entities)
    whole = model.encode_entities(builder_of(log).build(entities, log.indptr[1:]))
    last = log.entities - 1
    alone = model.encode_entities(builder_of(log).build(entities[last:], log.indptr[-1:]))
    torch.testing.assert_close(alone[0], whole[last], atol=1e-5, rtol=1e-5)


def test_vectors_are_of_length_one_over_a_temperature_that_has_a_floor():
    log, model = random_log(), towers_of().eval()
    batch = builder_of(log).build(np.arange(3), log.indptr[1:4], targets=np.array([1, 2]))
    entity, target = model(batch).vectors
    torch.testing.assert_close(entity.norm(dim=1), torch.full((3,), 10.0))
    torch.testing.assert_close(target.norm(dim=1), torch.ones(2))
    with torch.no_grad():
        model.log_temperature.fill_(-20.0)
    assert model.temperature().item() == pytest.approx(0.01)


def test_scores_may_be_products_of_states_and_embeddings():
    torch.manual_seed(0)
    settings = SequenceSettings(length=8, heads=2, scores="product")
    items = TableManifest("items", ITEMS, None, ())
    model = SequenceTowers(settings, items, (3,), True, 16, 16, 0.0, "lookup").eval()
    log = random_log()
    batch = builder_of(log).build(np.arange(3), log.indptr[1:4], targets=np.array([1, 2]))
    entity, target = model(batch).vectors
    # Each at a deviation of about 1, whatever its length.
    torch.testing.assert_close(target, 20 * model.own.weight[[1, 2]])
    states = 4 * entity
    torch.testing.assert_close(states.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(states.square().mean(1), torch.ones(3), atol=1e-3, rtol=0)
    assert not [name for name, _ in model.named_parameters() if "tower" in name or "temperature" in name]
    with pytest.raises(ConfigError, match=r"scores=product has no towers: model.tower_channels is 8, and has to be"):
        SequenceTowers(settings, items, (3,), True, 16, 8, 0.0, "lookup")


def test_times_are_periodic():
    features = TimeFeatures((7.0, 1.0))
    days = torch.tensor([0.0, 3.5, 10.5])
    found = features(days)
    assert found.shape == (3, features.channels)
    torch.testing.assert_close(found[1, :4], found[2, :4], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 0, 1, 1, 0]))


def test_the_share_of_targets_is_estimated_as_batches_come():
    share = TargetShare(4)
    drawn = torch.multinomial(torch.tensor([0.6, 0.3, 0.1, 0.0]), 50 * 400, True, generator=torch.manual_seed(0))
    for step, batch in enumerate(drawn.view(400, 50)):
        share.count(batch, step)
        share.count(batch, step)
    found = share(torch.arange(4))
    torch.testing.assert_close(found[:3], torch.tensor([0.6, 0.3, 0.1]), atol=0.03, rtol=0)
    assert 0 < found[3] < 1e-3
    again = TargetShare(4)
    again.load_state_dict(share.state_dict())
    assert torch.equal(again(torch.arange(4)), found)

"""Hard negatives lie between two walk ranks, and are never positives nor gone."""

import numpy as np
import pytest

from gnnscale.config import Section
from gnnscale.sampling import WalkRule, WalkSampler
from gnnscale.sampling.negatives.hard import HardNegatives
from gnnscale.sampling.negatives.in_batch import InBatchNegatives
from gnnscale.sampling.negatives.negative_rule import NegativeRule, build_negatives
from gnnscale.sampling.negatives.popular import PopularNegatives
from gnnscale.sampling.negatives.request import NegativeRequest, Negatives
from gnnscale.sampling.negatives.shared import SharedNegatives
from gnnscale.schema import NEGATIVES, ConfigError, SchemaError
from tests.sampling.negatives.targets import deviations, known_of
from tests.valid_until import EndingStore, some_ends

DAY = 86_400
BASKETS = ["purchases.customer_id", "purchases.product_id"]
CYCLE = ["purchases.product_id", "purchases.customer_id", *BASKETS]
CUSTOMERS = 40


@pytest.fixture
def ending(store) -> EndingStore:
    return EndingStore(store, {"products": some_ends(store, "products", 10 * DAY, 60 * DAY)})


def walker(store, cycle=CYCLE, table="products", top=20) -> WalkSampler:
    return WalkSampler(store, cycle, WalkRule(200, top=top), seed=2, table=table)


def request_for(store, batch: int = CUSTOMERS, **options) -> NegativeRequest:
    """Every customer knows some products, one of which is its positive."""
    rng = np.random.default_rng(0)
    known = known_of([rng.integers(0, store.node_count("products"), 5).tolist() for _ in range(CUSTOMERS)])
    entities = np.arange(batch) % CUSTOMERS
    anchors = np.linspace(30 * DAY, 60 * DAY, CUSTOMERS).astype(np.int32)[entities]
    positives = known.targets[known.indptr[entities] + np.arange(batch) % 2]
    return NegativeRequest(entities, anchors, known, positives=positives, **options)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize(
    ("around", "cycle", "table"), [("positive", CYCLE, "products"), ("entity", BASKETS, "customers")]
)
def test_hard_ones_are_between_the_ranks_and_allowed(ending, around, cycle, table, backend):
    request, walks = request_for(ending, epoch=3), walker(ending, cycle, table)
    found = HardNegatives(walks, (2, 12), 4, around, backend=backend).sample(request)
    seeds = request.positives if around == "positive" else request.entities
    ranked = walks.sample(seeds, request.anchors, epoch=3, examples=request.identities)
    features = ending.features("products")
    some = short = 0
    for b, nodes in enumerate(found.nodes.tolist()):
        known = request.known.take(request.entities[[b]]).values.tolist()
        near = [n for n in ranked.nodes[b, 2:12].tolist() if n >= 0]
        allowed = [n for n in near if n not in known and features.is_valid_at(np.array([n]), request.anchors[b])[0]]
        there = [n for n in nodes if n >= 0]
        assert set(there) <= set(allowed) and len(set(there)) == len(there) == min(4, len(allowed))
        assert nodes == there + [-1] * (4 - len(there))
        np.testing.assert_allclose(found.log_share[b, : len(there)], -np.log(max(1, len(allowed))), rtol=1e-6)
        some, short = some + len(there), short + (len(allowed) < len(near))
    assert some > 50 and short > 5
    np.testing.assert_array_equal(found.present, found.nodes >= 0)


def test_every_allowed_target_is_as_likely_as_any_other(store):
    full = request_for(store)
    request = NegativeRequest(full.entities[:1], full.anchors[:1], full.known, positives=full.positives[:1])
    walks = walker(store)
    # The walks have a seed of their own, so only the choice among what they reach differs.
    nodes = np.concatenate([HardNegatives(walks, (0, 20), 3, seed=s).sample(request).nodes for s in range(2_000)])
    counts = np.bincount(nodes.ravel(), minlength=store.node_count("products"))
    allowed = counts > 0
    assert allowed.sum() > 8
    # Without replacement the variance is smaller than the multinomial's: the bound holds the more.
    assert deviations(counts, allowed / allowed.sum()) < 5
    assert all(len(set(row)) == 3 for row in nodes.tolist())


def test_hard_ones_do_not_depend_on_the_batch_and_follow_the_epoch(store):
    request = request_for(store)
    sampler = HardNegatives(walker(store), (2, 12), 4)
    whole = sampler.sample(request).nodes
    order = np.random.default_rng(1).permutation(CUSTOMERS)[:15]
    part = NegativeRequest(
        request.entities[order], request.anchors[order], request.known, positives=request.positives[order]
    )
    np.testing.assert_array_equal(sampler.sample(part).nodes, whole[order])
    assert not np.array_equal(sampler.sample(request_for(store, epoch=1)).nodes, whole)


def test_more_than_the_ranks_hold_stay_absent(store):
    found = HardNegatives(walker(store), (0, 3), 7).sample(request_for(store))
    assert found.nodes.shape == (CUSTOMERS, 7) and (found.nodes[:, 3:] == -1).all() and found.present[:, :3].any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ranks": (5, 5)}, "ranks of hard negatives are 5 to 5"),
        ({"ranks": (-1, 5)}, "ranks of hard negatives are -1 to 5"),
        ({"ranks": (5, 21)}, "reach 21; walks keep the top 20"),
        ({"table": "customers", "cycle": BASKETS}, "start in 'products', where they end; these start in 'customers'"),
    ],
)
def test_ranks_that_walks_do_not_have_are_errors(store, options, says):
    ranks = options.pop("ranks", (2, 12))
    with pytest.raises(ConfigError, match=says):
        HardNegatives(walker(store, **options), ranks, 4)


def test_hard_ones_around_positives_need_them(store):
    request = request_for(store)
    without = NegativeRequest(request.entities, request.anchors, request.known)
    with pytest.raises(SchemaError, match="lie around positives; the request has none"):
        HardNegatives(walker(store), (2, 12), 4).sample(without)


@pytest.mark.parametrize(
    ("strategy", "kind", "shape"),
    [
        ("uniform", PopularNegatives, (CUSTOMERS, 6)),
        ("popularity", PopularNegatives, (CUSTOMERS, 6)),
        ("shared", SharedNegatives, (6,)),
        ("in_batch", InBatchNegatives, (CUSTOMERS,)),
        ("hard", HardNegatives, (CUSTOMERS, 6)),
    ],
)
def test_every_rule_has_its_sampler(ending, strategy, kind, shape):
    request = request_for(ending)
    counts = np.arange(ending.node_count("products"))
    rule = NegativeRule(strategy, 6, 1.0, (2, 12))
    sampler = build_negatives(rule, counts, ending.features("products"), 3, walker(ending))
    found = sampler.sample(request)
    assert isinstance(sampler, kind) and found.nodes.shape == found.log_share.shape == shape
    assert found.present.shape == (CUSTOMERS, shape[-1]) and found.present.any()
    each = np.broadcast_to(found.nodes, found.present.shape)
    assert not (request.known.hold(request.entities, each) & found.present).any()
    valid = ending.features("products").is_valid_at(np.maximum(each, 0), request.anchors[:, None])
    assert valid[found.present].all()
    everywhere = ending.features("products").is_valid_at(counts, request.anchors[:, None])
    assert not everywhere.all()
    if strategy == "uniform":
        valid_now = ending.features("products").is_valid_at(counts, int(request.anchors[0]))
        assert np.exp(found.log_share[0, 0]) > 1 / valid_now.sum() * 0.999


@pytest.mark.parametrize(
    ("rule", "options", "says"),
    [
        ({"strategy": "popular"}, {}, "there is no negative 'popular'. Did you mean 'popularity'"),
        ({"around": "positives"}, {}, "unknown centre of negatives 'positives'. Did you mean 'positive'"),
        ({"number": 0}, {}, "number of negatives is 0; at least 1"),
        ({"options": {"depth": 3}}, {}, "negative 'popularity' has no option 'depth'.* Allowed: number, power"),
        ({"power": -1.0}, {}, "power of negatives is -1.0"),
        ({"strategy": "hard"}, {}, "hard negatives need walks"),
        ({}, {"backend": "nunba"}, "unknown backend of negatives 'nunba'. Did you mean 'numba'"),
        ({}, {"threads": 0}, "threads of negatives is 0; at least 1"),
    ],
)
def test_rules_that_make_no_sense_are_errors(store, rule, options, says):
    counts = np.ones(store.node_count("products"), int)
    with pytest.raises(ConfigError, match=says):
        build_negatives(NegativeRule(**rule), counts, store.features("products"), **options)


def test_a_strategy_from_elsewhere_is_found_with_its_own_options(store):
    class StepOptions(Section):
        number: int = 3
        step: int = 1

    class EveryNth:
        """Targets 0, n, 2 n, ... for all examples."""

        Options, needs_walks, per_batch = StepOptions, False, True

        def __init__(self, nodes):
            self.nodes = nodes

        @classmethod
        def build(cls, options, source):
            return cls(np.arange(options.number) * options.step % len(source.counts))

        def sample(self, request):
            each = np.broadcast_to(self.nodes, (len(request), len(self.nodes)))
            present = ~request.known.hold(request.entities, each)
            return Negatives(self.nodes, present, np.zeros(len(self.nodes), np.float32))

    counts = np.ones(store.node_count("products"), int)
    with NEGATIVES.temporarily({"every_nth": EveryNth}):
        rule = NegativeRule("every_nth", 4, options={"step": 2})
        found = build_negatives(rule, counts, store.features("products")).sample(request_for(store))
        assert found.shared and found.nodes.tolist() == [0, 2, 4, 6]
        assert set(NEGATIVES.names()) >= {"every_nth", "uniform", "popularity", "shared", "in_batch", "hard"}

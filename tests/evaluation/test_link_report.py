from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from gnnscale.arrays import Ragged
from gnnscale.evaluation import Comparison, Curve, render_report
from gnnscale.evaluation.baselines.baseline import RankBaseline, link_baselines
from gnnscale.evaluation.link_holdout import metrics_beyond, reached_metrics
from gnnscale.evaluation.list_comparison import PARTS, MethodLists, compare_lists
from gnnscale.evaluation.report.charts import POINTS, Bar, bar_chart, line_chart, ticks
from gnnscale.evaluation.report.figures import EdgeFigure, RelationFigure, TableFigure
from gnnscale.evaluation.report.link_report import HEADLINES, EntityExample, LinkReport
from gnnscale.evaluation.report.report import headlines
from gnnscale.metrics import task_metrics
from gnnscale.query import TEMPORAL_LINK_PREDICTION
from gnnscale.retrieval import History

SECTIONS = (
    "Headline figures",
    "Comparison of methods",
    "Learning curves",
    "Data and graph",
    "Examples",
    "Stages",
    "How the numbers are defined",
)
NASTY = "<img src=x onerror=\"alert(1)\"> & 'sons'"
N, ITEMS = 40, 50
LINKS = TEMPORAL_LINK_PREDICTION
BASELINES = {
    name: baseline.rank for name, baseline in link_baselines(LINKS).items() if isinstance(baseline, RankBaseline)
}


class Outline(HTMLParser):
    """Tags that were opened and not closed in order, the tags seen, and the attributes that could load."""

    VOID = frozenset({"meta", "br", "rect", "line", "path", "circle", "polyline"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loads += [name for name, _ in attrs if name in ("src", "href", "srcset", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


def comparison(model_is_perfect: bool = True) -> Comparison:
    rng = np.random.default_rng(0)
    past = History(rng.integers(0, N, 300), rng.integers(0, ITEMS, 300), rng.integers(0, 10**7, 300), N, ITEMS)
    truth = Ragged.from_pairs(rng.integers(0, N, 150), rng.integers(0, ITEMS, 150), N)
    lists = [MethodLists(name, *(b(past, 20, among=a) for a in PARTS)) for name, b in BASELINES.items()]
    parts = (truth, truth.intersection(past.past), truth.difference(past.past))
    if not model_is_perfect:
        parts = (Ragged.from_lists([[]] * N),) * 3
    ranked_parts = []
    for part in parts:
        ranked = np.full((N, 20), -1)
        for i in range(N):
            ranked[i, : part.counts[i]] = part.row(i)
        ranked_parts.append(ranked)
    return compare_lists(LINKS, [MethodLists("model", *ranked_parts), *lists], truth, past.past, ITEMS)


@pytest.fixture(scope="module")
def full() -> LinkReport:
    return LinkReport(
        title=f"Weekly {NASTY}",
        query_text="PREDICT COUNT(t.*, 0, 7) > 1 FOR EACH a.id",
        created="2017-12-26T00:00:00Z",
        comparison=comparison(),
        summary={f"fact {NASTY}": NASTY},
        tables=[
            TableFigure(NASTY, 1_469_307, 11, ("2017-01-01", "2017-12-31")),
            TableFigure("b", 5, 1, None, 1357, 2468, 9753),
        ],
        edges=[
            EdgeFigure("buys", NASTY, "products", 1_234_567, 0.99979, 12.34, 987, 4321),
            EdgeFigure("b.a", "b", "a", 7, 1.0, 1.0, 3, 0, 0.4567, 2345, (5432, 6543, 7654)),
        ],
        relations=[RelationFigure(f"a.{NASTY}", "events", NASTY, "products", 8_765, 2.345, 98, 1.25, 3_456)],
        curves=[Curve(f"Loss {NASTY}", NASTY, [(1, 2.0), (2, math.nan), (3, 1.0)])],
        examples=[
            EntityExample(
                NASTY,
                {NASTY: NASTY},
                [(f"had {NASTY}", 3, "2017-12-20")],
                [(1, f"hit {NASTY}", 0.51234, True, True), (2, "miss", 0.4, False, False)],
            )
        ],
        stages=[("graph", 75.0, NASTY), ("train", 3725.0, "")],
    )


@pytest.fixture(scope="module")
def page(full: LinkReport) -> str:
    return render_report(full)


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_all_sections_in_order(page: str) -> None:
    assert headings(page) == list(SECTIONS)


def test_everything_is_escaped(page: str) -> None:
    assert "<img" not in page
    assert page.count("&lt;img src=x") >= 12
    assert "&gt; 1 FOR EACH" in page


def test_the_page_needs_nothing_else(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert outline.loads == []
    assert outline.seen.isdisjoint({"script", "link", "iframe", "object", "embed", "img"})
    assert not re.search(r"https?:|//|url\(|@import", page)


def test_figures_are_written_as_promised(page: str, full: LinkReport) -> None:
    for text in ("1,469,307", "1,234,567", "99.9 %", "4,321", "12.3", "0.512", "1 min 15 s", "1 h 02 min"):
        assert text in page
    mean = full.comparison.result("popularity").metrics["map@10"]
    assert f">{mean:.3f}<" in page
    assert "Recency-weighted frequency" in page
    for text in ("1,357", "2,468", "9,753", "45.7 %", "2,345", "5,432", "6,543", "7,654", "8,765", "2.3", "3,456"):
        assert f"<td>{text}</td>" in page


def test_hits_are_marked_in_words(page: str) -> None:
    rows = re.findall(r"<tr[^>]*><td>\d+</td><td class=\"name\">.*?</tr>", page)
    assert ["✓ hit" in row for row in rows] == [True, False]
    assert ["repeat" in row for row in rows] == [True, False]


def test_headlines_hold_the_model_against_the_best_baseline() -> None:
    found = headlines(comparison(), HEADLINES)
    assert [line.title for line in found[:2]] == ["MAP@10", "Recall@20"]
    assert {line.verdict for line in found[:2]} == {"better"}
    whole = comparison()
    best = max(BASELINES, key=lambda name: whole.result(name).metrics["map@10"])
    gap = found[0].difference
    assert gap is not None
    assert gap.mean == pytest.approx(found[0].value - whole.result(best).metrics["map@10"])
    assert {line.verdict for line in headlines(comparison(model_is_perfect=False), HEADLINES)[:2]} == {"worse"}


def test_cards_are_by_the_headline_of_the_query() -> None:
    """Of what is asked for by another metric, that one; where some entities are cold, they have one of their own."""
    whole = comparison()
    assert report_on(whole).cards() == list(HEADLINES)
    other = replace(whole, metrics=(whole.metric("ndcg@10"), *whole.metrics))
    assert report_on(other).cards() == [("ndcg@10", part) for part in PARTS]
    cold = replace(whole, results=(*whole.results, *(replace(own, among="cold") for own in whole.results[::3])))
    assert report_on(cold).cards() == [*HEADLINES, ("map@10", "cold")]


def report_on(whole: Comparison) -> LinkReport:
    return LinkReport("t", "q", "2017-12-26", whole)


def test_empty_lists_render() -> None:
    nothing = LinkReport("t", "q", "2017-12-26", Comparison(LINKS, "popularity", (), task_metrics(LINKS)))
    page = render_report(nothing)
    assert headings(page) == list(SECTIONS)
    assert Outline(page).open == []
    assert "No model was evaluated." in page
    example = EntityExample("key", {}, [], [])
    sparse = LinkReport("t", "q", "c", comparison(), curves=[Curve("loss", "step", [])], examples=[example])
    page = render_report(sparse)
    assert "No values were recorded." in page
    assert "No recommendations." in page


def test_a_part_without_truth_shows_no_numbers() -> None:
    lists = np.array([[0, 1]])
    method = MethodLists("popularity", lists, lists, lists)
    never = Ragged.from_lists([[]])
    page = render_report(
        LinkReport("t", "q", "c", compare_lists(LINKS, [method], never, never, 3, reference="popularity"))
    )
    assert "nan" not in page
    assert "0 entities" in page


def test_bars_and_whiskers_stand_where_the_numbers_say() -> None:
    bars = [Bar("a", 0.2, 0.1, 0.3), Bar("b", 0.1, main=True)]
    svg = ElementTree.fromstring(str(bar_chart("title", bars)))
    first, second = svg.findall("rect")
    assert float(first.attrib["width"]) == pytest.approx(2 * float(second.attrib["width"]), abs=0.2)
    assert second.attrib["class"] == "bar bar-main"
    (whisker,) = [path for path in svg.findall("path") if path.attrib["class"] == "whisker"]
    low, high = re.findall(r"M([\d.]+)", whisker.attrib["d"])[0::2]
    middle = float(first.attrib["x"]) + float(first.attrib["width"])
    assert (float(low) + float(high)) / 2 == pytest.approx(middle, abs=0.2)


def test_lines_skip_gaps_and_thin_out() -> None:
    svg = ElementTree.fromstring(str(line_chart("t", "x", [(0, 1.0), (1, math.inf), (2, 3.0)])))
    line = svg.find("polyline")
    assert line is not None
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in line.attrib["points"].split())
    assert x0 < x1
    assert y0 > y1
    many = ElementTree.fromstring(str(line_chart("t", "x", [(x, math.sin(x)) for x in range(10_000)])))
    line = many.find("polyline")
    assert line is not None
    assert len(line.attrib["points"].split()) <= POINTS + 1
    assert "polyline" in line_chart("t", "x", [(1, 1.0)])


def test_ticks_are_round() -> None:
    assert ticks(0, 0.17) == pytest.approx([0, 0.05, 0.1, 0.15])
    assert ticks(3, 3) == [3]
    assert all(-1 <= tick <= 1 for tick in ticks(-1, 1))


def test_metrics_beyond_a_list_are_left_out():
    names = LINKS.metrics
    assert metrics_beyond(names, 10) == ("recall@20",) == metrics_beyond(names, 19)
    assert metrics_beyond(names, 20) == ()
    # What no shorter one stands for is all that there is, and is called by how far it looks.
    assert metrics_beyond(names, 5) == ("recall@20",)
    assert tuple(reached_metrics(names, 20)) == names
    assert reached_metrics(names, 5) == {f"{name.partition('@')[0]}@5": name for name in names if name != "recall@20"}
    assert tuple(reached_metrics(("recall@100", "map@3"), 5)) == ("recall@5", "map@3")

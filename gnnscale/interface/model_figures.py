"""How good a model is: figures beside those of the baselines, and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from gnnscale.evaluation import rivals_of
from gnnscale.schema import LakeError

if TYPE_CHECKING:
    from gnnscale.lake import Lake


class Metrics(Mapping[str, Mapping[str, float]]):
    """Method -> metric -> value on the test examples.

    Args:
        record: that the evaluate stage left.

    Attributes:
        headline: name of the metric that methods are compared by.
        best_baseline: name of the best of the others by that metric, the model's own tower aside; None where there is
            none.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        rows = [row for row in record["rows"] if row.get("among", "all") == "all"]
        methods = {row["method"]: _figures(row) for row in rows}
        self._methods = {"model": methods.pop("model"), **methods}
        self.headline = str(record["headline"])
        larger = {metric["name"]: metric["higher_is_better"] for metric in record.get("metrics", ())}
        sign = 1 if larger.get(self.headline, True) else -1
        others = ((name, methods[name]) for name in rivals_of(methods))
        known = {name: figures[self.headline] for name, figures in others if self.headline in figures}
        self.best_baseline = max(known, key=lambda name: sign * known[name]) if known else None

    def __getitem__(self, method: str) -> Mapping[str, float]:
        return self._methods[method]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    def __repr__(self) -> str:
        width = max(map(len, self))
        lines = [f"{'method':<{width}}  {'  '.join(f'{name:>11}' for name in self._columns)}"]
        for method, figures in self.items():
            cells = (f"{figures[name]:>11.4g}" if name in figures else f"{'-':>11}" for name in self._columns)
            lines.append(f"{method:<{width}}  {'  '.join(cells)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in ("method", *self._columns))
        rows = "".join(
            f"<tr><td>{escape(method)}</td>"
            + "".join(f"<td>{figures[name]:.4g}</td>" if name in figures else "<td>-</td>" for name in self._columns)
            + "</tr>"
            for method, figures in self.items()
        )
        return f"<table><tr>{head}</tr>{rows}</table>"

    @property
    def _columns(self) -> list[str]:
        """The headline, then the others of the model."""
        names = list(self["model"])
        return [name for name in names if name == self.headline] + [name for name in names if name != self.headline]


class ReportPage:
    """A page of HTML in a lake: as a path, and in a notebook as the page.

    Args:
        lake: that holds it.
        path: under the lake's root.
    """

    def __init__(self, lake: Lake, path: str) -> None:
        self._lake, self._path = lake, path

    @property
    def html(self) -> str:
        """The page.

        Raises:
            LakeError: the evaluate stage has not written it.
        """
        content = self._lake.read_bytes(self._path)
        if content is None:
            raise LakeError(f"no report at {self}; run the evaluate stage first")
        return content.decode()

    def __fspath__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self._lake.uri}/{self._path}"

    def __repr__(self) -> str:
        return f"ReportPage({str(self)!r})"

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="720" style="border: 0"></iframe>'


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a row, without their intervals and differences."""
    beside = ("_low", "_high", "_difference")
    names = [name for name in row if name not in ("entities", "examples") and not name.endswith(beside)]
    return {name: float(row[name]) for name in names if isinstance(row[name], int | float)}

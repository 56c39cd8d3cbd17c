"""A generated workshop: how a job ends is the sum of what its mechanic, its car, its make and its kind add to it."""

from __future__ import annotations

import numpy as np
import pandas as pd

MECHANICS, CUSTOMERS, CARS, MAKES, KINDS = 30, 900, 1_500, 12, 10
CAUSES = ("wear", "rust", "crash", "leak", "other")
DAYS = 730


def workshop_frames(answer: str, jobs: int = 12_000, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Mechanics, customers, cars and jobs; a job is known to have ended well or not when it is closed.

    Args:
        answer: the column of jobs that is asked for, which alone of them is there: ``came_back``, ``hours`` or
            ``cause``.
        jobs: rows.
        seed: of everything.
    """
    draw = np.random.default_rng(seed)
    kinds, makes = draw.integers(0, KINDS, jobs), draw.integers(0, MAKES, CARS)
    mechanics = draw.zipf(1.5, jobs) % MECHANICS
    cars = draw.choice(CARS, jobs, p=draw.dirichlet(np.full(CARS, 0.7)))
    years = draw.integers(2000, 2023, CARS)
    km = ((2024 - years[cars]) * 12_000 * draw.lognormal(0, 0.3, jobs)).round()
    start = pd.Timestamp("2022-01-01") + pd.to_timedelta(np.sort(draw.uniform(0, DAYS, jobs)), "D")

    def effect(deviations: tuple[float, float, float, float], width: int = 1) -> np.ndarray:
        sizes, rows = (MECHANICS, KINDS, CARS, MAKES), (mechanics, kinds, cars, makes[cars])
        drawn = [draw.normal(0, d, (size, width)) for d, size in zip(deviations, sizes, strict=True)]
        return sum(table[row] for table, row in zip(drawn, rows, strict=True))  # type: ignore[return-value]

    chance = effect((0.7, 0.7, 0.7, 0.4))[:, 0] - 1.6 + 0.4 * (km / 120_000 - 1)
    hours = effect((0.3, 0.5, 0.25, 0.2))[:, 0] + 0.5 + draw.normal(0, 0.35, jobs)
    cause = effect((0.8, 0.8, 0.8, 0), len(CAUSES)) + np.array([0.8, 0.4, 0, 0, -0.5])
    answers = {
        "came_back": draw.random(jobs) < 1 / (1 + np.exp(-chance)),
        "hours": np.exp(hours).round(2),
        "cause": np.array(CAUSES)[(cause + draw.gumbel(0, 1, cause.shape)).argmax(axis=1)],
    }
    return {
        "mechanics": pd.DataFrame({"mechanic_id": range(MECHANICS), "level": draw.integers(1, 4, MECHANICS)}),
        "customers": pd.DataFrame({"customer_id": range(CUSTOMERS), "town": draw.choice(list("abcdefgh"), CUSTOMERS)}),
        "cars": pd.DataFrame(
            {
                "car_id": range(CARS),
                "customer_id": draw.integers(0, CUSTOMERS, CARS),
                "make": np.array([f"make {i}" for i in range(MAKES)])[makes],
                "year": years,
            }
        ),
        "jobs": pd.DataFrame(
            {
                "job_id": range(jobs),
                "car_id": cars,
                "mechanic_id": mechanics,
                "kind": np.array([f"kind {i}" for i in range(KINDS)])[kinds],
                "km": km,
                "started": start.floor("s"),
                "closed": (start + pd.to_timedelta(draw.gamma(2, 4, jobs), "D")).floor("s"),
                answer: answers[answer],
            }
        ),
    }

"""Small matrices of users and items."""

from __future__ import annotations

import numpy as np
import scipy.sparse


def random_matrix(users: int = 60, items: int = 12, share: float = 0.35, seed: int = 0) -> scipy.sparse.csr_matrix:
    """Who has had what, each pair as likely, everybody one at least."""
    drawn = np.random.default_rng(seed).random((users, items)) < share
    drawn[np.arange(users), np.arange(users) % items] = True  # nobody is left without
    return scipy.sparse.csr_matrix(drawn.astype(np.float32))


def two_tastes(users: int = 80, items: int = 30, each: int = 7, seed: int = 0) -> scipy.sparse.csr_matrix:
    """Every user has had items of one half of the catalogue, and one of the other."""
    rng = np.random.default_rng(seed)
    half = items // 2
    matrix = np.zeros((users, items), np.float32)
    for user in range(users):
        side = user % 2
        matrix[user, side * half + rng.choice(half, each, replace=False)] = 1
        matrix[user, (1 - side) * half + rng.integers(half)] = 1
    return scipy.sparse.csr_matrix(matrix)

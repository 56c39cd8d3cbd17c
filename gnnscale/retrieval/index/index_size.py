"""Parts of an index that suit so many vectors."""

from __future__ import annotations


def nlist_for(targets: int) -> int:
    """Clusters of an index: the power of two nearest to 1.3 times the root of its targets, where it has many."""
    wanted = 1.3 * targets**0.5
    power = 1
    while power * 1.42 < wanted:
        power *= 2
    return max(1, min(power, targets // 40))


def codes_for(channels: int) -> int:
    """Four-bit codes of a vector: one for two channels, where they can be shared out so."""
    return next(codes for codes in range(max(1, channels // 2), 0, -1) if channels % codes == 0)

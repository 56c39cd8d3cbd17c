"""How many workers a training has on a Ray of our own: as many as it began with, and nobody to ask for more nodes."""

from __future__ import annotations

from typing import Any

from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy


class FixedWorkers(FixedScalingPolicy):
    """Ray Train's policy of a fixed number, without the process that asks an autoscaler for what workers need.

    A Ray that has begun on this machine has one node for good.
    """

    def after_controller_start(self, train_run_context: Any) -> None:
        """Nothing is registered."""

    def _maybe_send_resource_request(self) -> None:
        """Nothing is asked for."""

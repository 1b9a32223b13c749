"""What a worker answers before its trial's record, and why there may be none."""

from dataclasses import dataclass


class DivergedError(Exception):
    """A training's loss is no longer a number; the message names the epoch."""


@dataclass(frozen=True)
class Progress:
    """How far a training trial is, after an epoch of `epochs`; `resumed` of them came from a checkpoint."""

    epoch: int
    epochs: int
    loss: float
    val_top1: float
    resumed: int = 0

"""What a worker is asked to do, and where the trial stands afterwards: both travel between slot and worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """Where a trial stands after a rung."""

    rounds: int = 0
    best: float = -np.inf
    """The best score so far; higher is better."""
    best_rounds: int = 0
    seconds: float = 0.0
    """Spent on the trial so far."""
    ended: bool = False
    """Whether the trial trains no further: its last rung, its patience or its time is at an end."""
    late: bool = False
    """Whether its time is at an end."""
    rows: int = 0
    """Rows that the worker trained on."""
    state: bytes = b""
    """What another worker needs to go on from here."""
    model: bytes = b""
    """The content of the model's file at the best round, when the trial has ended."""
    row_ms: float = 0.0
    """Milliseconds to score one row with that model, where the step asked for it."""
    failed: str = ""
    """Why the trial cannot be trained, where it cannot."""


@dataclass(frozen=True, kw_only=True)
class TrialStep:
    """Train a trial to a rung."""

    trial: int
    family: str
    params: Mapping[str, Any]
    seed: int
    rounds: int
    """The rung, in rounds from the trial's start."""
    every: int = 1
    """Only every so many rows are trained on."""
    last: bool = True
    """Whether this is the trial's last rung."""
    seconds: float = np.inf
    """How long it may still train before it must end at its next evaluation."""
    timed: bool = False
    """Whether the trial's model is to be timed on one row."""
    before: TrialState = field(default_factory=TrialState)
    """Where the trial stands; at its beginning unless given."""

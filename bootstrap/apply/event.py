"""Event: something new about a machine while a plan is carried out. How it looks is the command line's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something new about a machine (or an image, or a seed): the step, and what it waits for."""

    subject: str
    step: str
    waiting_for: str = ""
    done: bool = False
    failed: bool = False

    @property
    def state(self) -> str:
        return f"{self.step}; waits for {self.waiting_for}" if self.waiting_for else self.step


Report = Callable[[Event], None]

"""Progress of a study: a live panel on a terminal and in a notebook, plain lines elsewhere."""

from regjax.progress.panel import format_seconds
from regjax.progress.state import GroupState, Phase, Wave
from regjax.progress.tell import Progress

__all__ = ["GroupState", "Phase", "Progress", "Wave", "format_seconds"]

"""What a study tells while it runs; nothing that goes wrong with telling stops it."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from regjax.progress.panel import make_line, make_panel
from regjax.progress.state import GroupState, Wave
from regjax.progress.views import NotebookView, TerminalView, View, is_notebook

# Between two plain lines, in seconds: a log of a long study stays short.
PLAIN_EVERY = 10.0
# Between two drawings of the panel: looks may be milliseconds apart.
PANEL_EVERY = 0.5

Judge = Callable[[Any], str]


class Progress:
    """Says how far a study is: runs done, stopped early and diverged, speed, time left, the best cell so far.

    Clocks decide when something is shown, and nothing else. An error of the panel takes the panel away; where lines
    cannot be written either, the study goes on in silence.

    Args:
      stream: where to write; standard error by default.
      live: whether to redraw a panel; by default on a terminal that can (TERM is not "dumb") and in a notebook.
    """

    def __init__(self, stream: TextIO | None = None, live: bool | None = None) -> None:
        self.stream = stream or sys.stderr
        self._notebook = stream is None and is_notebook()
        self.live = (self._notebook or can_redraw(self.stream)) if live is None else live
        self._view: View | None = None
        self._current: GroupState | None = None

    def begin(
        self,
        num_runs: int,
        model_epochs: float,
        groups: Sequence[GroupState] = (),
        name: str = "training",
        judge: Judge | None = None,
    ) -> None:
        """Start the count of a wave.

        Args:
          num_runs: runs that it trains.
          model_epochs: epochs that they are together.
          groups: its groups, as they stand.
          name: what it is called.
          judge: takes the records of runs that are over and returns the best cell so far, in words.
        """
        self.wave = Wave(num_runs, model_epochs, name, tuple(groups))
        self._current, self._judge = None, judge
        self.started = self.last = time.monotonic()
        if self.live and self._view is None:
            self._safely(self._open)

    def _open(self) -> None:
        self._view = NotebookView(self.stream) if self._notebook else TerminalView(self.stream)

    def say(self, text: str) -> None:
        """Write one line that stays."""
        self._safely(self._say, text)

    def _say(self, text: str) -> None:
        if self._view is not None:
            self._view.say(text)
        else:
            self._print(text)

    def enter(self, index: int) -> None:
        """Turn to a group of the wave, whose program is being compiled."""
        self._current = self.wave.groups[index] if self.wave.groups else None
        if self._current is not None:
            self._current.phase = "compiling"
        self._draw()

    def train(self, slots: int) -> None:
        """Say that the group's program is there and trains so many trajectories at once."""
        if not self.wave.done_epochs:
            self.started = time.monotonic()  # the speed is that of training
        if self._current is not None:
            self._current.phase, self._current.slots = "training", slots
        self._draw()

    def leave(self) -> None:
        """Say that the group has no runs left for this process."""
        if self._current is not None:
            self._current.phase = "waiting"

    def settle(self, index: int, done: int, epochs: float) -> None:
        """Say how many runs of a group are over, whoever trained them, and how many epochs a run has."""
        group = self.wave.groups[index]
        others = max(0, done - group.done)
        group.done += others
        self.wave.num_runs -= others
        self.skip(others * epochs)
        if group.done >= group.num_runs:
            group.phase = "done"

    def advance(self, model_epochs: float, epoch: float) -> None:
        """Count epochs trained; `epoch` is the farthest that a run in training is."""
        self.wave.done_epochs += model_epochs
        self.wave.epoch = epoch
        now = time.monotonic()
        if now - self.last >= (PANEL_EVERY if self._view else PLAIN_EVERY):
            self.last = now
            if self._view is not None:
                self._draw()
            else:
                self.say(self.line())

    def skip(self, model_epochs: float) -> None:
        """Take epochs off the work: they were trained before, or need no training any more."""
        self.wave.model_epochs -= model_epochs

    def finish(self, num_runs: int, diverged: int, stopped: int = 0) -> None:
        """Count runs as over, and how many of them diverged or stopped early."""
        counted: list[Wave | GroupState] = [self.wave, *([self._current] if self._current else [])]
        for counts in counted:
            counts.done += num_runs
            counts.diverged += diverged
            counts.stopped += stopped

    def judge(self, records: Callable[[], Any]) -> None:
        """Take account of the records of runs that are over; where they cannot be judged, no cell is called best."""
        if self._judge is None:
            return
        try:
            self.wave.best = self._judge(records())
        except Exception:
            self.wave.best, self._judge = "", None

    def end(self) -> None:
        """Take the panel away."""
        view, self._view = self._view, None
        if view is not None:
            self._safely(view.close)

    def line(self) -> str:
        """Return the line as it stands now."""
        return make_line(self.wave, time.monotonic() - self.started)

    def _draw(self) -> None:
        if self._view is not None:
            self._safely(self._show)

    def _show(self) -> None:
        assert self._view is not None
        self._view.show(make_panel(self.wave, time.monotonic() - self.started))

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def _safely(self, act: Callable[..., None], *arguments: Any) -> None:
        """Act; after an error go on without the panel, and where lines fail too, without a word."""
        try:
            act(*arguments)
            return
        except Exception as error:
            lost = f"note: progress cannot be drawn any more ({error!r}); lines follow"
        view, self._view, self.live = self._view, None, False
        lines = [lost, *(arguments if act == self._say else ())]
        for attempt in ([view.close] if view else []) + [lambda: self._print("\n".join(lines))]:
            with contextlib.suppress(Exception):
                attempt()


def can_redraw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can draw a panel in place; a closed one is not."""
    try:
        return stream.isatty() and os.environ.get("TERM", "") != "dumb"
    except ValueError:
        return False

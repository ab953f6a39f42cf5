"""Progress of a study: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

# Between two plain lines, in seconds: a log of a long study stays short.
PLAIN_EVERY = 10.0


class Progress:
    """Says how far a study is: runs done, epoch, models x epochs per second, time left, diverged runs.

    Args:
      stream: where to write; standard error by default.
      live: whether to redraw one line; by default whether the stream is a terminal.
    """

    def __init__(self, stream: TextIO | None = None, live: bool | None = None) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty() if live is None else live
        self._line: Live | None = None

    def begin(self, num_runs: int, model_epochs: float) -> None:
        """Start the count of a wave: how many runs it trains, and how many epochs they are together."""
        self.num_runs, self.model_epochs = num_runs, model_epochs
        self.done_runs, self.diverged, self.done_epochs = 0, 0, 0.0
        self.started = self.last = time.monotonic()
        if self.live and self._line is None:
            console = Console(file=self.stream, force_terminal=True)
            self._line = Live(console=console, transient=True, auto_refresh=False)
            self._line.start()

    def say(self, text: str) -> None:
        """Write one line that stays."""
        if self._line is not None:
            self._line.console.print(Text(text))
        else:
            print(text, file=self.stream, flush=True)

    def advance(self, model_epochs: float, epoch: float) -> None:
        """Count epochs trained; `epoch` is the farthest that a run in training is."""
        self.done_epochs += model_epochs
        self._show(epoch)

    def skip(self, model_epochs: float) -> None:
        """Take epochs off the work: they were trained before, or need no training any more."""
        self.model_epochs -= model_epochs

    def finish(self, num_runs: int, diverged: int) -> None:
        """Count runs as done, and how many of them diverged."""
        self.done_runs += num_runs
        self.diverged += diverged

    def end(self) -> None:
        """Close the live line."""
        if self._line is not None:
            self._line.stop()
            self._line = None

    def line(self, epoch: float) -> str:
        """Return the line as it stands now."""
        elapsed = max(time.monotonic() - self.started, 1e-9)
        rate = self.done_epochs / elapsed
        left = (self.model_epochs - self.done_epochs) / rate if rate else 0.0
        return (
            f"{self.done_runs}/{self.num_runs} runs done, epoch {epoch:g}, {rate:.3g} models x epochs/s, "
            f"{format_seconds(max(left, 0.0))} left, {self.diverged} diverged"
        )

    def _show(self, epoch: float) -> None:
        now = time.monotonic()
        if self._line is not None:
            self._line.update(Text(self.line(epoch)), refresh=True)
        elif now - self.last >= PLAIN_EVERY:
            self.last = now
            self.say(self.line(epoch))


def format_seconds(seconds: float) -> str:
    """Return a duration for people.

    >>> format_seconds(3.2), format_seconds(75), format_seconds(7300)
    ('3 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

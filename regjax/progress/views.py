"""Where a wave's state is shown: a terminal, a notebook, a log."""

import io
import sys
from typing import Any, Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

# A notebook's output has no width of its own.
NOTEBOOK_WIDTH = 100


class View(Protocol):
    """A place that shows one panel, redrawn, and lines that stay."""

    def show(self, panel: RenderableType) -> None:
        """Draw the panel in the place of the one before."""

    def say(self, text: str) -> None:
        """Write a line that stays."""

    def close(self) -> None:
        """Take the panel away."""


class TerminalView:
    """A panel at the bottom of a terminal; lines that stay are printed above it."""

    def __init__(self, stream: TextIO) -> None:
        # Output of others is left alone: the results are printed when the panel is gone.
        self.live = Live(
            console=Console(file=stream, force_terminal=True, force_jupyter=False),
            transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self.live.start()

    def show(self, panel: RenderableType) -> None:
        """Draw the panel in the place of the one before."""
        self.live.update(panel, refresh=True)

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.live.console.print(Text(text))

    def close(self) -> None:
        """Take the panel away."""
        self.live.stop()


class NotebookView:
    """A panel in the output of a notebook's cell, replaced in place; needs no widgets."""

    def __init__(self, stream: TextIO) -> None:
        from IPython.display import display

        self.stream = stream
        self.handle: Any = display(self._bundle(""), raw=True, display_id=True)

    def show(self, panel: RenderableType) -> None:
        """Draw the panel in the place of the one before."""
        self.handle.update(self._bundle(panel), raw=True)

    def say(self, text: str) -> None:
        """Write a line that stays."""
        print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """Leave an empty output where the panel was."""
        self.handle.update(self._bundle(""), raw=True)

    @staticmethod
    def _bundle(panel: RenderableType) -> dict[str, str]:
        console = Console(file=io.StringIO(), record=True, width=NOTEBOOK_WIDTH, force_jupyter=False)
        console.print(panel, end="")
        page = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>", clear=False)
        return {"text/plain": console.export_text(), "text/html": page}


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")

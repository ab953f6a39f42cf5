"""What a study shows while it trains, and that nothing wrong with it stops the study."""

import io
import re

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console

from regjax.progress import GroupState, Progress, Wave
from regjax.progress.panel import make_line, make_panel

GROUPS = (GroupState("0  model.norm none", 8, 8, 3, 1, 4, "done"), GroupState("1  [b]", 8, 2, 0, 0, 4, "training"))
WAVE = Wave(16, 320.0, "training", GROUPS, 10, 3, 1, 200.0, 12.5, "dropout.hidden=0.3 (validation accuracy 97%)")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is."""
        return True


def test_the_panel_says_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel has groups and programs, counts, speed, time left and the best cell; brackets in names stay."""
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(make_panel(WAVE, 10.0))
    text = console.export_text()

    assert "10/16 runs done, 3 stopped early, 1 diverged" in text
    assert "epoch 12.5, 20 model-epochs/s, 6 s left" in text
    assert "best on validation so far: dropout.hidden=0.3" in text
    assert text.index("[b]") < text.index("model.norm none")  # what goes on comes first
    assert all(len(line) <= 100 for line in text.splitlines())


def test_of_many_groups_the_panel_has_a_dozen() -> None:
    """Beyond twelve groups a last row says how many more there are; those that go on are shown."""
    groups = tuple(GroupState(f"group {k}", 8, phase="training" if k == 14 else "done") for k in range(15))
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(make_panel(Wave(16, 320.0, "training", groups), 10.0))
    text = console.export_text()

    assert "... and 3 more" in text
    assert len(re.findall(r"group \d+", text)) == 12
    assert "group 14" in text


def test_a_line_needs_no_line_before_it() -> None:
    """A line of a log says wave, counts, speed, time left and the best cell."""
    assert make_line(WAVE, 10.0) == (
        "training: 10/16 runs done, 3 stopped early, 1 diverged, epoch 12.5, 20 model-epochs/s, 6 s left, "
        "best on validation so far: dropout.hidden=0.3 (validation accuracy 97%)"
    )
    assert "no epoch yet" in make_line(Wave(4, 40.0), 1.0)


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel is for terminals that can redraw; others and logs get lines."""
    monkeypatch.setenv("TERM", "xterm")
    assert Progress(Terminal()).live
    monkeypatch.setenv("TERM", "dumb")
    assert not Progress(Terminal()).live
    assert not Progress(io.StringIO()).live


def walk(progress: Progress) -> None:
    """Tell of a small wave from begin to end."""
    progress.begin(4, 8.0, [GroupState("0", 4)], "training", lambda records: f"cell {records}")
    progress.enter(0)
    progress.train(2)
    progress.last -= 20
    progress.advance(4.0, 1.0)
    progress.judge(lambda: 7)
    progress.finish(4, 1, 2)
    progress.last -= 20
    progress.advance(4.0, 2.0)
    progress.say("a word that stays")
    progress.leave()
    progress.end()


def test_a_panel_that_fails_gives_way_to_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error of the panel the wave goes on, in lines."""
    from regjax.progress import tell

    stream = io.StringIO()
    monkeypatch.setattr(tell, "make_panel", lambda *_: 1 / 0)
    progress = Progress(stream, live=True)
    walk(progress)

    assert "progress cannot be drawn any more (ZeroDivisionError" in stream.getvalue()
    assert "training: 4/4 runs done, 2 stopped early, 1 diverged" in stream.getvalue()
    assert "a word that stays" in stream.getvalue()


@pytest.mark.parametrize("live", [True, False])
def test_a_stream_that_is_gone_stops_nothing(live: bool) -> None:
    """Where nothing can be written the wave goes on in silence."""
    stream = io.StringIO()
    stream.close()
    progress = Progress(stream, live=live)
    walk(progress)

    assert (progress.wave.done, progress.wave.stopped, progress.wave.diverged) == (4, 2, 1)


def test_a_judge_that_fails_names_no_cell() -> None:
    """An error in finding the best cell leaves it out."""
    progress = Progress(io.StringIO(), live=False)
    progress.begin(4, 8.0, judge=lambda records: str(records))
    progress.judge(lambda: "a cell")
    assert progress.wave.best == "a cell"
    progress.judge(lambda: 1 / 0)
    assert progress.wave.best == ""


def test_a_notebook_shows_the_panel_in_one_place() -> None:
    """In a kernel the panel is one output that is replaced, with HTML and plain text; words that stay are a stream."""
    code = (
        "from regjax.progress import GroupState, Progress\n"
        "p = Progress()\n"
        "p.begin(4, 8.0, [GroupState('0', 4)])\n"
        "p.enter(0); p.train(2); p.finish(2, 0); p.last -= 20; p.advance(4.0, 1.0); p.say('a word')\n"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("p.end()")])
    NotebookClient(book, timeout=60).execute()
    outputs = book.cells[0].outputs
    (stream,) = [output for output in outputs if output.output_type == "stream"]

    assert [output.output_type for output in outputs].count("display_data") == 1
    assert "\x1b" not in stream.text
    assert stream.text == "a word\n"
    assert book.cells[0].outputs[0].data["text/plain"].strip() == ""  # taken away at the end

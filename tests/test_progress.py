"""What a study says while it runs."""

import io
from collections.abc import Iterator

import jax
import pytest

from regjax import runtime
from regjax.progress import Progress, format_seconds


def test_plain_lines_are_few_and_complete() -> None:
    """In a log a line names runs done, epoch, speed, time left, diverged runs; at most one in ten seconds."""
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    progress.begin(4, 40.0)
    progress.advance(10.0, 2.5)
    line = progress.line()
    progress.last -= 11
    progress.advance(10.0, 5.0)
    progress.finish(4, 1)
    ended = progress.line()
    progress.end()

    assert line.startswith("training: 0/4 runs done, 0 stopped early, 0 diverged, epoch 2.5, ")
    assert "model-epochs/s" in line
    assert line.endswith(" left")
    assert ended.startswith("training: 4/4 runs done, 0 stopped early, 1 diverged, epoch 5, ")
    assert len(stream.getvalue().splitlines()) == 1


def test_a_terminal_gets_a_panel_that_goes_away() -> None:
    """On a terminal the panel is redrawn in place; words that stay are printed above it."""
    stream = io.StringIO()
    progress = Progress(stream, live=True)
    progress.begin(2, 2.0)
    progress.last -= 1
    progress.advance(1.0, 1.0)
    progress.say("a notice")
    progress.end()

    assert "model-epochs/s" in stream.getvalue()
    assert "a notice" in stream.getvalue()
    assert "\x1b[2K" in stream.getvalue()


def test_a_wave_without_groups_has_none_to_turn_to() -> None:
    """Where nothing was said of groups, turning to one and leaving it changes nothing but the lines that are due."""
    progress = Progress(io.StringIO(), live=False)
    progress.begin(4, 40.0)
    before = progress.line()
    progress.enter(0)
    progress.train(2)
    progress.leave()
    assert progress.line() == before


def test_a_closed_stream_is_no_terminal() -> None:
    """Where standard error was closed, what is said goes nowhere, without an error."""
    stream = io.StringIO()
    stream.close()
    progress = Progress(stream)
    progress.say("a word")
    assert not progress.live


def test_durations_round_to_whole_units() -> None:
    """Fifty-nine and a half seconds are a minute."""
    assert [format_seconds(s) for s in (0.2, 59.4, 59.6, 3600)] == ["0 s", "59 s", "1 min 0 s", "1 h 0 min"]


def test_a_started_jax_gives_a_notice_and_its_own_devices(monkeypatch) -> None:
    """With fewer devices than cores, because jax ran first, configure says what to do and changes nothing."""
    monkeypatch.setattr(runtime, "count_cores", lambda: 64)
    before = jax.devices()
    found = runtime.configure()

    assert found.devices == f"cpu x {len(before)}"
    assert "regjax.configure()" in found.notice
    assert jax.devices() == before


def test_the_cache_can_be_moved_and_switched_off(monkeypatch, tmp_path) -> None:
    """REGJAX_CACHE names the folder of compiled programs; "off" means none."""
    monkeypatch.setenv("REGJAX_CACHE", str(tmp_path))
    assert runtime.cache_folder().parent == tmp_path
    monkeypatch.setenv("REGJAX_CACHE", "off")
    assert runtime.cache_folder() is None


@pytest.fixture
def no_cache() -> Iterator[None]:
    """Give jax no folder of compiled programs, as in a process that has just begun."""
    usual = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", usual)


def test_a_cache_that_cannot_be_made_is_told(monkeypatch, tmp_path, no_cache) -> None:
    """Where the folder cannot be made a warning says why and what to do, and jax goes on without."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("REGJAX_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"no compilation cache: .*file.*: Not a directory; set REGJAX_CACHE to"):
        runtime.configure()
    assert jax.config.jax_compilation_cache_dir is None


def test_a_cache_that_is_off_is_not_made(monkeypatch, no_cache) -> None:
    """Switched off, jax is given no folder, without a word."""
    monkeypatch.setenv("REGJAX_CACHE", "off")
    runtime.configure()
    assert jax.config.jax_compilation_cache_dir is None

"""Signals: what ends a training, what does not, and what is put back."""

import os
import signal
import subprocess
import sys
import time

import pytest

from regjax.stop import SIGNALS, Interrupted, Stop, watch_signals

# A process that is told to end while nothing is being trained, and says what it was told.
WAITING = """
import os, signal, time
from regjax.stop import Interrupted, Stop, watch_signals
try:
    with watch_signals(Stop()):
        os.kill(os.getpid(), signal.{name})
        time.sleep(60)
except Interrupted as error:
    print(error, error.exit_code)
"""


@pytest.mark.parametrize(
    ("name", "told"),
    [("SIGTERM", "SIGTERM: ended early; run the same command again to go on 75"),
     ("SIGINT", "interrupted: ended early; run the same command again to go on 130")],
)  # fmt: skip
def test_a_signal_before_the_training_ends_at_once(name: str, told: str) -> None:
    """Where nothing needs to be saved a signal interrupts what is going on, and says how the command ends."""
    done = subprocess.run(
        [sys.executable, "-c", WAITING.format(name=name)], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == told


def test_an_interruption_that_no_signal_asked_for_stays_one() -> None:
    """A KeyboardInterrupt raised within is handed on, and the handlers of before are there again."""
    before = [signal.getsignal(number) for number in SIGNALS]
    stop, within = Stop(), []

    def interrupt() -> None:
        with watch_signals(stop):
            within.extend(signal.getsignal(number) for number in SIGNALS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert within != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not stop.asked


def test_other_signals_end_nothing() -> None:
    """A signal that another library handles reaches its handler, and the training goes on."""
    seen: list[int] = []
    usual = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    stop = Stop()
    try:
        with watch_signals(stop):
            os.kill(os.getpid(), signal.SIGUSR1)
            while not seen:
                time.sleep(0.01)
            time.sleep(0.1)  # for the thread that watches
    finally:
        signal.signal(signal.SIGUSR1, usual)
    assert not stop.asked
    assert stop.exit_code == 0


def test_a_time_limit_that_is_over_is_said() -> None:
    """Asked for its time a training that has none left is ended with the limit as the reason."""
    with pytest.raises(Interrupted, match=r"time limit of 0 s: ended early; run the same command again"), Stop(0):
        pass

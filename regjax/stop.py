"""Ending a training early and soundly: by a signal, or because its time is over."""

import contextlib
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from regjax.files import RegjaxError

# Seconds between the request to end and the end, for what is being computed and for saving it.
GRACE = 20.0
EXIT_AGAIN = 75  # EX_TEMPFAIL: the same command goes on
SIGNALS = {signal.SIGTERM: ("SIGTERM", EXIT_AGAIN), signal.SIGINT: ("interrupted", 130)}


class Interrupted(RegjaxError):  # noqa: N818  # no error: it was asked for
    """A training ended before its end, as it was asked to; the same command goes on."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(f"{reason}: ended early; run the same command again to go on")
        self.exit_code = exit_code


class Stop:
    """Whether a training is to end early, asked between two looks.

    Used as a context around what saves by itself: outside of it an interruption takes effect at once.

    Args:
      max_seconds: time limit, counted from here; None for none.
      grace: seconds for the look in progress and its saving.
    """

    def __init__(self, max_seconds: float | None = None, grace: float = GRACE) -> None:
        self.grace, self.saves = grace, False
        self._limit = max_seconds
        self._ends = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self._asked: tuple[str, int] | None = None
        self._since = math.inf

    def ask(self, reason: str, exit_code: int) -> None:
        """Ask the training to end; the first reason stands."""
        if self._asked is None:
            self._asked, self._since = (reason, exit_code), time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether the training is to end."""
        if time.monotonic() >= self._ends:
            self.ask(f"time limit of {self._limit:g} s", EXIT_AGAIN)
        return self._asked is not None

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return self._asked[1] if self._asked else 0

    def left(self) -> float:
        """Return the seconds until the grace period is over; infinity where nothing asks for an end."""
        return min(self._ends, self._since) + self.grace - time.monotonic()

    def check(self) -> None:
        """Raise Interrupted where the training is to end."""
        if self.asked:
            assert self._asked is not None
            raise Interrupted(*self._asked)

    def __enter__(self) -> "Stop":
        self.check()
        self.saves = True
        return self

    def __exit__(self, *_: object) -> None:
        self.saves = False


@contextlib.contextmanager
def watch_signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM, Ctrl-C and a time limit end what runs within; a second signal or the end of grace ends the process.

    The watch needs a thread: a handler in Python waits for the call into the compiled program that is going on. Where
    the training was interrupted the watch stays until the process is gone, since a compilation may hold it up.

    Raises:
      Interrupted: it was asked to end.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def handle(number: int, _: FrameType | None) -> None:
        stop.ask(*SIGNALS[signal.Signals(number)])
        if not stop.saves:
            raise KeyboardInterrupt

    before: dict[Any, Any] = {number: signal.signal(number, handle) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(stop, reader), daemon=True, name="signals").start()
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        stop.check()
        raise
    finally:
        if not stop.exit_code:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            writer.close()


def _watch(stop: Stop, reader: socket.socket) -> None:
    """End the process at the second signal, or where the grace period is over."""
    signals = 0
    while True:
        left = stop.left()
        if left <= 0:
            _leave(stop, f"not saved within {stop.grace:g} s")
        reader.settimeout(None if math.isinf(left) else left)
        try:
            received = reader.recv(1)
        except TimeoutError:
            continue
        if not received:
            reader.close()
            return
        if received[0] not in SIGNALS:
            continue
        stop.ask(*SIGNALS[signal.Signals(received[0])])
        signals += 1
        if signals > 1:
            _leave(stop, "ended at once")
        _say("ending after what is being computed is saved; once more to end at once")


def _leave(stop: Stop, text: str) -> None:
    """End the process as if it were killed; nothing that is stored needs more."""
    stop.asked  # noqa: B018  # names the time limit as the reason where that is it
    _say(f"{text}; run the same command again to go on from the last segment")
    os._exit(stop.exit_code or EXIT_AGAIN)


def _say(text: str) -> None:
    """Write a line to standard error, whatever other threads are doing."""
    with contextlib.suppress(OSError):
        os.write(2, f"regjax: {text}\n".encode())

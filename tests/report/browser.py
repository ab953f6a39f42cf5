"""A headless Chromium, steered through its DevTools pipe with the standard library alone."""

import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-pipe")  # fmt: skip


def find_browser() -> str | None:
    """Return the path of Chromium; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


PATIENCE = 60.0  # seconds without a word from the browser


class Browser:
    """A browser with one empty page; commands are those of the DevTools protocol."""

    def __init__(self, profile: Path) -> None:
        asked, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        shell = f'exec "$0" "$@" 3<&{asked} 4>&{answer}'
        command = ["bash", "-c", shell, find_browser() or "", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(asked, answer), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(asked)
        os.close(answer)
        self._number, self._buffer, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, *, session: bool = True, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; events that come before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session and self._session:
            message["sessionId"] = self._session
        os.write(self._ask, json.dumps(message).encode() + b"\0")
        while (found := self._read()).get("id") != self._number:
            self.events.append(found)
        assert "error" not in found, found
        return found["result"]

    def wait_for(self, event: str, **expected: Any) -> dict[str, Any]:
        """Return the parameters of the next event of this name with these values."""
        while True:
            found = self.events.pop(0) if self.events else self._read()
            parameters = found.get("params", {})
            if found.get("method") == event and expected.items() <= parameters.items():
                return parameters

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            some = os.read(self._answers, 2**20) if ready else b""
            assert some, "the browser has ended or does not answer"
            self._buffer += some
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, width: int, height: int = 800, scheme: str = "light") -> None:
        """Load a file as on a screen of this size and colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression on the page, which its content policy does not stop."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def shoot(self) -> bytes:
        """Return what is on the screen as PNG."""
        return b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def print_pdf(self) -> bytes:
        """Return the page as it prints."""
        return b64decode(self.call("Page.printToPDF")["data"])

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close", session=False)
        self._process.wait(timeout=30)
        os.close(self._ask)
        os.close(self._answers)

"""A headless Chromium, driven over its DevTools protocol: real mouse, real pictures.

The protocol is JSON over a WebSocket (https://chromedevtools.github.io/devtools-protocol), so that
a browser is all it needs: no driver beside it whose version must fit.
"""

import json
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --disable-extensions"
)


def installed() -> str | None:
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page in a browser of its own; a context manager that ends it."""

    def __init__(self, width: int = 1300, height: int = 1500):
        self._size, self._number = f"--window-size={width},{height}", 0

    def __enter__(self) -> "Browser":
        with ExitStack() as opened:
            folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            opened.enter_context(folder)
            command = [installed(), *_OPTIONS.split(), self._size, "--remote-debugging-port=0"]
            process = subprocess.Popen(
                [*command, f"--user-data-dir={folder.name}", "about:blank"],
                stderr=subprocess.DEVNULL,
            )
            opened.callback(process.wait, 10)
            opened.callback(process.terminate)
            chosen = Path(folder.name, "DevToolsActivePort")
            wait(lambda: chosen.exists() and chosen.read_text(), "Chromium to listen")
            port = chosen.read_text().split()[0]
            with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [target for target in json.load(answer) if target["type"] == "page"]
            self._socket = websocket.create_connection(
                pages[0]["webSocketDebuggerUrl"], timeout=60, suppress_origin=True
            )
            opened.callback(self._socket.close)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._opened.close()

    def call(self, method: str, **parameters) -> dict:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def evaluate(self, expression: str):
        """The value of a JavaScript expression, or of what it promises."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60):
        """The first value of `expression` that is true."""
        return wait(lambda: self.evaluate(expression), expression, seconds)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where an element is in the window, scrolled there if need be."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait_for(f"{found} !== null")
        self.evaluate(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"{found}.getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def mouse(self, kind: str, x: float, y: float, pressed: bool) -> None:
        self.call(
            "Input.dispatchMouseEvent",
            type=f"mouse{kind}",
            x=x,
            y=y,
            button="left",
            buttons=int(pressed),
            clickCount=int(kind != "Moved"),
        )

    def click(self, selector: str) -> None:
        x, y = self.middle(selector)
        self.mouse("Pressed", x, y, True)
        self.mouse("Released", x, y, False)

    def press_key(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            number = {"End": 35, "ArrowRight": 39}[key]
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number
            )

    def type(self, text: str) -> None:
        """Put text at the end of what has the focus."""
        self.press_key("End")
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b64decode(self.call("Page.captureScreenshot")["data"]))


def wait(ask, what: str, seconds: float = 60):
    """The first true answer; an AssertionError that says what did not come in time."""
    until = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < until, f"waited {seconds} seconds in vain for {what}"
        time.sleep(0.2)
    return answer

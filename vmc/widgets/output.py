"""The outputs of a cell: published once, replaced as things go on, or interactive.

Everything is a PNG, plain text or a bare HTML table, so that it looks the same in JupyterLab, on
GitHub and on an exported page. An interactive view carries such a static one with it: whoever
cannot run widgets shows that.
"""

import io
import time
from base64 import b64encode
from collections.abc import Callable

from IPython import get_ipython
from IPython.display import display
from ipywidgets import DOMWidget
from PIL import Image

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

Bundle = tuple[dict, dict]
"""The data of an output by MIME type, and the metadata of some of them."""


def in_notebook() -> bool:
    return hasattr(get_ipython(), "kernel")


def publish(data: dict, metadata: dict | None = None) -> None:
    """Show it; outside of a notebook, its plain text."""
    if in_notebook():
        display(data, metadata=metadata or {}, raw=True)
    else:
        print(data["text/plain"])


def publish_interactive(widget: DOMWidget, data: dict, metadata: dict | None = None) -> None:
    """Show a widget, and the static `data` wherever widgets do not run."""
    view = {"model_id": widget.model_id, "version_major": 2, "version_minor": 0}
    publish({WIDGET_VIEW: view, **data}, metadata)


def picture(png: bytes, alt: str) -> Bundle:
    """A picture, and what a reader who cannot see it is told."""
    return {"image/png": b64encode(png).decode(), "text/plain": alt}, {"image/png": {"alt": alt}}


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "png")
    return data.getvalue()


class Throttle:
    """Lets something be done at most twice a second, and for at most a tenth of the time.

    To show a thing must not slow it down, nor flicker.
    """

    def __init__(self):
        self._due = 0.0

    def __call__(self, act: Callable[..., None], *arguments) -> None:
        began = time.perf_counter()
        if began >= self._due:
            act(*arguments)
            ended = time.perf_counter()
            self._due = ended + max(0.5, 9 * (ended - began))


class Live:
    """One output of a cell that is replaced as things go on. Stored pages keep its last state."""

    def __init__(self):
        self._handle = None
        self._throttle = Throttle()

    def offer(self, make: Callable[..., Bundle], *arguments) -> None:
        """Show `make(*arguments)` if it is time for that and there is where to."""
        if in_notebook():
            self._throttle(lambda: self._put(*make(*arguments)))

    def settle(self, data: dict, metadata: dict | None = None) -> None:
        """Show this, and leave it."""
        if self._handle is None:
            publish(data, metadata)
        else:
            self._put(data, metadata or {})

    def _put(self, data: dict, metadata: dict) -> None:
        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)

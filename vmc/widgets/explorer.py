"""What all explorers are: controls, the picture that follows them, and a static one beside it."""

from collections.abc import Callable, Mapping

import ipywidgets
from PIL import Image

from vmc.widgets.output import picture, png, publish_interactive


class Explorer:
    """Controls above a picture that is drawn anew whenever one of them is moved.

    Arguments:
        controls: ipywidgets by the name under which `draw` takes their values, at their first
            values.
        draw: makes the picture of these values.
        still: the static picture, for where no widgets run: much of what `draw` can show, at once.
        alt: what a reader who cannot see the static picture is told.
    """

    def __init__(
        self,
        controls: Mapping[str, ipywidgets.ValueWidget],
        draw: Callable[..., Image.Image],
        still: Image.Image,
        alt: str,
    ):
        self.controls, self._draw = dict(controls), draw
        self._still, self._alt = still, alt
        self.image = ipywidgets.Image(format="png")
        self.widget = ipywidgets.VBox([*self.controls.values(), self.image])
        self.widget.add_class("vmc-explorer")
        for control in self.controls.values():
            control.observe(self._redraw, "value")
        self._redraw()

    def show(self) -> "Explorer":
        publish_interactive(self.widget, *picture(png(self._still), self._alt))
        return self

    def _redraw(self, _=None) -> None:
        values = {name: control.value for name, control in self.controls.items()}
        self.image.value = png(self._draw(**values))


def slider(name: str, value: int, highest: int, lowest: int = 0) -> ipywidgets.IntSlider:
    """A slider over whole numbers, as wide as a name such as "frame pair" asks for."""
    return ipywidgets.IntSlider(
        value,
        lowest,
        highest,
        description=name,
        style={"description_width": "8em"},
        layout={"width": "40em", "max_width": "95%"},
    )

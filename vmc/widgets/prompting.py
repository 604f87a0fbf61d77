"""A prompt editor: from the words that describe a clip to those that its motion is tuned with."""

import ipywidgets

from vmc.errors import BadInput
from vmc.prompts import appearance_invariant
from vmc.widgets.output import publish_interactive
from vmc.widgets.shown import table_bundle


class PromptEditor:
    """Two lines of text: the faithful prompt, and the appearance-invariant one below (Sec. 3.2).

    Changing the first writes the second anew; the second can also be changed by hand.
    """

    def __init__(self, prompt: str):
        self.faithful, self.invariant = (
            ipywidgets.Text(
                description=name, style={"description_width": "12em"}, layout={"width": "95%"}
            )
            for name in ("faithful", "appearance-invariant")
        )
        self.faithful.value, self.invariant.value = prompt, appearance_invariant(prompt)
        self._said = ipywidgets.Label()
        self.faithful.observe(self._rewrite, "value")
        self.widget = ipywidgets.VBox([self.faithful, self.invariant, self._said])
        self.widget.add_class("vmc-prompt")

    @property
    def value(self) -> str:
        """The appearance-invariant prompt as it stands."""
        return self.invariant.value

    def _rewrite(self, _) -> None:
        try:
            self.invariant.value, self._said.value = appearance_invariant(self.faithful.value), ""
        except BadInput as error:
            self._said.value = str(error)


def edit_prompt(prompt: str) -> PromptEditor:
    """Show an editor that begins with the faithful `prompt`; `.value` is what to tune with.

    Raises `BadInput` for an empty prompt.
    """
    editor = PromptEditor(prompt)
    rows = [[box.description, box.value] for box in (editor.faithful, editor.invariant)]
    publish_interactive(editor.widget, *table_bundle(["prompt", "words"], rows))
    return editor

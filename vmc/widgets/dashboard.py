"""Algorithm 1 with buttons: a tuning run to start, pause and stop while it shows itself."""

import threading
from collections.abc import Callable
from pathlib import Path

import ipywidgets
from jaxtyping import Float
from torch import Tensor

from vmc.adapter import MotionAdapter
from vmc.backbones import keyframe_backbone
from vmc.backbones.twin import twin
from vmc.finetuning import Finetuning
from vmc.machine import peak_memory
from vmc.widgets.output import Throttle, picture, publish, publish_interactive
from vmc.widgets.tuning import tuning_bundle, tuning_picture, tuning_state

_ICONS = {"start": "play", "pause": "pause", "stop": "stop"}


def _button(name: str, act: Callable[[], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=name, icon=_ICONS[name], layout={"width": "7em"})
    button.on_click(lambda _: act())
    return button


def tuning_dashboard(
    cascade,
    clip: Float[Tensor, "3 frame height width"],
    prompt: str,
    *,
    save: str | Path | None = None,
    start: bool = False,
    **finetune_arguments,
) -> "TuningDashboard":
    """Show a dashboard over `vmc.finetune(cascade, clip, prompt, **finetune_arguments)`.

        dashboard = tuning_dashboard(cascade, clip, "a ball is moving")
        adapter = dashboard.wait()  # in the next cell

    It is there at once, and tunes when its start button is pressed, or right away with `start`.
    `save` is a file for the adapter, written when the run ends, is stopped or fails after a step.
    Raises `BadInput` as `vmc.finetune` does.
    """
    dashboard = TuningDashboard(cascade, clip, prompt, save=save, **finetune_arguments)
    dashboard.show()
    if start:
        dashboard.start()
    return dashboard


class TuningDashboard:
    """A tuning run on a thread of its own, with the buttons and the picture that go with it.

    The backbone itself stays as it is all the time, so that other cells may use it meanwhile, and
    other dashboards too. `run` is the `Finetuning`; iterate over it only when the dashboard rests.
    """

    def __init__(self, cascade, clip, prompt, *, save=None, **finetune_arguments):
        finetune_arguments = {"preview_every": 5} | finetune_arguments
        backbone = twin(keyframe_backbone(cascade))
        self.run = Finetuning(backbone, clip, prompt, **finetune_arguments)
        self.save = None if save is None else Path(save)
        self._clip, self._preview = clip, None
        self._between_steps, self._starting = threading.Lock(), threading.Lock()
        self._going, self._settled = threading.Event(), threading.Event()
        self._thread, self._error, self._ended = None, None, False
        self._redraw, self._restate = Throttle(), Throttle()

        acts = {"start": self.start, "pause": self.pause, "stop": self.stop}
        self.buttons = {name: _button(name, act) for name, act in acts.items()}
        self.status, self.image = ipywidgets.Label(), ipywidgets.Image(format="png")
        self.status.add_class("vmc-status")
        self.widget = ipywidgets.VBox(
            [ipywidgets.HBox([*self.buttons.values(), self.status]), self.image]
        )
        self.widget.add_class("vmc-dashboard")
        self._show_picture()
        self._show_state()

    def show(self) -> None:
        """Show buttons and picture; where no widgets run, the picture as it is now."""
        publish_interactive(self.widget, *picture(bytes(self.image.value), self._alt()))

    @property
    def adapter(self) -> MotionAdapter:
        """The motion as learned so far."""
        with self._between_steps:
            return self.run.adapter

    @property
    def state(self) -> str:
        """One of "ready", "running", "paused" and "ended"."""
        if self._ended:
            return "ended"
        if self._thread is None:
            return "ready"
        return "running" if self._going.is_set() else "paused"

    def start(self) -> None:
        """Begin, or go on after a pause."""
        with self._starting:  # a button may be pressed while a cell calls `wait`
            self._going.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        self._show_state()

    def pause(self) -> None:
        """Rest after the present step until `start`."""
        self._going.clear()
        self._show_state()

    def stop(self) -> None:
        """End the run after the present step; what it learned so far is the adapter."""
        self.run.stop()
        self.start()

    def wait(self) -> MotionAdapter:
        """Block until the run has ended, show its last picture, and give the adapter.

        Starts the run if nobody has, and goes on with one that is paused: so it ends also where no
        one can press a button. Ctrl-C pauses the run and leaves. Raises what stopped the run.
        """
        adapter = self.finished()
        if self.run.history:
            publish(*tuning_bundle(self.run, self._clip, self._preview))
        return adapter

    def finished(self) -> MotionAdapter:
        """As `wait`, without a picture."""
        if self.state != "ended":
            self.start()
        try:
            while not self._settled.wait(0.2):
                pass
        except KeyboardInterrupt:
            self.pause()
            raise
        if self._error is not None:
            raise self._error
        return self.adapter

    def _work(self) -> None:
        try:
            try:
                while self._step():
                    self._redraw(self._show_picture)
                    self._restate(self._show_state)
                    if not self._going.is_set():
                        self._show_picture()
                        self._show_state()
                        self._going.wait()
            finally:
                if self.save is not None and self.run.history:
                    self.adapter.save(self.save)
                self._ended = True
                self._show_picture()
        except BaseException as error:  # raised where somebody waits
            self._ended, self._error = True, error
        finally:
            self._show_state()
            self._settled.set()

    def _step(self) -> bool:
        with self._between_steps:
            step = next(self.run, None)
        if step is not None and step.x0 is not None:
            self._preview = step
        return step is not None

    def _show_picture(self) -> None:
        self.image.value = tuning_picture(self.run, self._clip, self._preview)

    def _show_state(self) -> None:
        state, memory = self.state, sum(peak_memory().values()) / 1e9
        said = f"{state}: {tuning_state(self.run)}, {memory:.2f} GB"
        if self._error is not None:
            said = str(self._error)
        elif state == "ended" and self.save is not None:
            said += f", saved as {self.save}"
        self.status.value = said
        self.buttons["start"].disabled = state in ("running", "ended")
        self.buttons["pause"].disabled = state != "running"
        self.buttons["stop"].disabled = state == "ended"

    def _alt(self) -> str:
        return f"Tuning dashboard, {self.state}: {tuning_state(self.run)}"

"""A motion sketchpad: a path drawn with the mouse becomes a clip to tune on and to transfer."""

import threading
from collections.abc import Sequence

import ipywidgets
import numpy as np
from jaxtyping import Float
from torch import Tensor

from vmc.backbones import keyframe_backbone
from vmc.backbones.twin import twin
from vmc.cascade import Cascade, Generated
from vmc.diffusion import invert
from vmc.errors import BadInput
from vmc.metrics import trajectory_error
from vmc.pictures import animated_png, enlarged, side_by_side
from vmc.prompts import appearance_invariant
from vmc.sprites import FRAMES, Motion, Scene, path, read_out
from vmc.video import contact_sheet, to_uint8
from vmc.widgets.dashboard import TuningDashboard
from vmc.widgets.output import picture, png, publish_interactive
from vmc.widgets.shown import STILL

_HEIGHT, _WIDTH = 240, 384  # of the canvas: six pixels for one of a keyframe
_WAVE = ((0.7, 0.15), (0.3, 0.3), (0.3, 0.45), (0.7, 0.55), (0.7, 0.7), (0.35, 0.85))


def sketchpad(
    cascade,
    scene: Scene | None = None,
    points: Sequence[tuple[float, float]] = _WAVE,
    prompt: str = "a blue star is moving on the snow",
    **finetune_arguments,
) -> "Sketchpad":
    """Show a canvas to draw a path on, and buttons to tune on it and to transfer it.

        pad = sketchpad(cascade)
        made = pad.transfer()  # in the next cell: works also if nobody draws or presses anything

    Arguments:
        cascade: the Cascade to tune.
        scene: what moves along the path and where, a red ball on the road if None.
        points: the path to begin with, as in `Sketchpad.set_path`.
        prompt: of the video that takes the motion over.
        finetune_arguments: as in `vmc.finetune`.
    """
    scene = Scene("ball", "red", "on the road") if scene is None else scene
    pad = Sketchpad(cascade, scene, points, prompt, **finetune_arguments)
    pad.show()
    return pad


class Sketchpad:
    """A canvas, the clip of the path drawn on it, and a dashboard to tune on that clip.

    `motion`, `scene` and `clip` are those of the path as it stands; the clip has the frames and the
    size that the cascade works on. `dashboard` is the tuning on it, and `made` what was transferred
    from it; both are None until then, and again for a new path.
    """

    def __init__(self, cascade, scene: Scene, points, prompt: str, **finetune_arguments):
        from ipycanvas import MultiCanvas

        self.cascade, self.scene, self.finetune_arguments = cascade, scene, finetune_arguments
        self.dashboard: TuningDashboard | None = None
        self.made: Generated | None = None
        self._drawn, self._working = None, threading.Lock()

        size = {"width": f"{_WIDTH}px", "height": f"{_HEIGHT}px"}  # else it fills the page
        self.canvas = MultiCanvas(2, width=_WIDTH, height=_HEIGHT, layout=size)
        self.canvas.add_class("vmc-canvas")
        self.canvas.on_mouse_down(self._begin)
        self.canvas.on_mouse_move(self._go_on)
        self.canvas.on_mouse_up(self._end)
        self.canvas.on_mouse_out(self._end)
        self.playing = ipywidgets.Image(format="png", layout={"width": "max-content"})
        self.prompt = ipywidgets.Text(prompt, layout={"width": "24em"})
        self.status = ipywidgets.Label()
        self.buttons = {
            name: ipywidgets.Button(description=name) for name in ("tune on it", "transfer it")
        }
        self.buttons["tune on it"].on_click(lambda _: self.tune())
        self.buttons["transfer it"].on_click(lambda _: self._in_background())
        self._tuning = ipywidgets.VBox()
        self.widget = ipywidgets.VBox(
            [
                self.canvas,
                ipywidgets.HBox([*self.buttons.values(), self.prompt]),
                self.status,
                self.playing,
                self._tuning,
            ]
        )
        self.widget.add_class("vmc-sketchpad")
        self.set_path(points)

    def show(self) -> None:
        """Show the canvas; where no widgets run, the clip with its path."""
        still = contact_sheet([enlarged(self.clip, STILL, [self._asked()])], height=STILL)
        alt = f"The sketched path, and the clip of {self.scene.caption()} along it"
        publish_interactive(self.widget, *picture(png(still), alt))

    def set_path(self, points: Sequence[tuple[float, float]] | Float[np.ndarray, "_ 2"]) -> None:
        """Let the subject move along the line through `points` at one pace.

        `points` are (y, x) in fractions of the frame, two or more and not all the same; `BadInput`
        if they are not.
        """
        if self.dashboard is not None:
            self.dashboard.stop()
        self.motion = _at_one_pace(points)
        self.scene = self.scene.with_(motion=self.motion)
        base = keyframe_backbone(self.cascade)
        self.clip = self.scene.render(base.frames, base.size)
        self.dashboard = self.made = None
        self._tuning.children = ()
        self.status.value = "Draw a path with the mouse."
        self._show_path()

    def tune(self) -> TuningDashboard:
        """Begin to tune on the clip, with the appearance-invariant prompt of its caption."""
        if self.dashboard is None:
            words = appearance_invariant(self.scene.caption())
            self.dashboard = TuningDashboard(
                self.cascade, self.clip, words, **self.finetune_arguments
            )
            self._tuning.children = (self.dashboard.widget,)
        self.dashboard.start()
        return self.dashboard

    def transfer(self, prompt: str | None = None) -> Generated:
        """Wait for the tuning (begin it, if need be) and make keyframes of `prompt` that move so.

        They come from the clip's inverted noise, on a twin of the backbone, and play beside the
        clip. Without `prompt`, the one in the text field is taken. Raises BadInput for a prompt
        that the model cannot read, and if a new path was drawn in the meantime.
        """
        prompt = self.prompt.value if prompt is None else prompt
        base = twin(keyframe_backbone(self.cascade))
        base.encode_text([prompt])  # refuses words that it does not know, before the long work
        with self._working:
            clip, asked = self.clip, self._asked()
            adapter = self.tune().finished()
            self.status.value = "Inverting the clip and drawing keyframes …"
            with adapter.inverting(base):
                inverted = invert(base, clip)
            made = Cascade(base).generate(prompt, adapter, inverted, until="keyframes")
            if self.clip is not clip:
                raise BadInput("The path was changed while its motion was learned; transfer again.")
            tracked = read_out(made.keyframes).centres
            self._play((clip, [asked]), (made.keyframes, [asked, tracked]))
            error = trajectory_error(tracked, asked, base.size)
            self.status.value = f"{prompt}: trajectory error {error:.3f} of the diagonal"
            self.made = made
        return made

    def _asked(self) -> Float[Tensor, "frame 2"]:
        return self.scene.centres(self.clip.shape[1])

    def _in_background(self) -> None:
        threading.Thread(target=self._transfer_or_say_why, daemon=True).start()

    def _transfer_or_say_why(self) -> None:
        try:
            self.transfer()
        except BadInput as error:
            self.status.value = str(error)

    def _begin(self, x: float, y: float) -> None:
        self._drawn = [(y / _HEIGHT, x / _WIDTH)]
        self.canvas[1].clear()

    def _go_on(self, x: float, y: float) -> None:
        if self._drawn is not None:
            (y0, x0), point = self._drawn[-1], (y / _HEIGHT, x / _WIDTH)
            self._drawn.append(point)
            self.canvas[1].stroke_line(x0 * _WIDTH, y0 * _HEIGHT, x, y)

    def _end(self, x: float, y: float) -> None:
        drawn, self._drawn = self._drawn, None
        if drawn:
            try:
                self.set_path(drawn)
            except BadInput:
                self._show_path()  # a click alone draws no path: the one before stays

    def _show_path(self) -> None:
        from ipycanvas import hold_canvas

        empty = self.scene.with_(motion=path([(9.0, 9.0)] * 2))
        backdrop = to_uint8(empty.render(1, (_HEIGHT, _WIDTH)))[0]
        line = self.motion.centre * (_HEIGHT, _WIDTH)
        with hold_canvas():
            self.canvas[0].put_image_data(backdrop)
            self.canvas[1].clear()
            self.canvas[1].line_width, self.canvas[1].stroke_style = 4, "white"
            self.canvas[1].stroke_lines(line[:, ::-1])
        self._play((self.clip, [self._asked()]))

    def _play(self, *clips: tuple[Tensor, list[Tensor]]) -> None:
        pictures = side_by_side([enlarged(clip, 160, paths) for clip, paths in clips])
        self.playing.value = animated_png(pictures, fps=6)


def _at_one_pace(points) -> Motion:
    """The motion along a line of points, whatever their distances are."""
    points = path(points).centre
    lengths = np.linalg.norm(np.diff(points, axis=0) * (_HEIGHT, _WIDTH), axis=1)
    way = np.concatenate([[0], lengths.cumsum()])
    if way[-1] < _HEIGHT / 10:
        raise BadInput(
            "The path hardly moves: draw a line that is longer than a tenth of the frame's height."
        )
    even = np.linspace(0, way[-1], FRAMES)
    return path(np.stack([np.interp(even, way, points[:, i]) for i in (0, 1)], axis=1))

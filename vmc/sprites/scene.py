"""A scene of the rendered world: what is in it, what a caption says of it, how it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from vmc.errors import BadInput
from vmc.sprites import motions
from vmc.sprites.motions import Motion
from vmc.sprites.places import ASPECT, PLACES, VARIANTS, keyframe_backdrop, paint, pixel_centres
from vmc.sprites.shapes import EXTENT, SUBJECTS, atlas

COLOURS = {
    "red": (0.86, 0.1, 0.1),
    "orange": (1.0, 0.5, 0.0),
    "yellow": (1.0, 0.87, 0.1),
    "green": (0.1, 0.72, 0.2),
    "blue": (0.1, 0.33, 1.0),
    "purple": (0.58, 0.15, 0.85),
    "pink": (1.0, 0.45, 0.75),
}
STYLES = ("plain", "neon", "sketch", "pixel art", "watercolour")
INK = (0.08, 0.06, 0.1)
_OUTLINE = 0.026  # width in fractions of the frame's height: a little over one keyframe pixel
_PAIR = (0.0, 0.15)  # half the offset between two subjects, (y, x) in fractions of the frame
_KEYFRAME_PIXELS = 40 * 64


@dataclass(frozen=True)
class Scene:
    """Everything that determines a video of the rendered world.

    `motion` is the name of a held-out motion, or a `Motion` (see `vmc.sprites.motions.path` for
    one of your own). `variant` picks one of the place's backdrops; `count` is 1 or 2 subjects.
    Raises `BadInput` for an attribute that this world does not have.
    """

    subject: str = "ball"
    colour: str = "red"
    place: str = "in the sky"
    motion: Motion | str = "zigzag"
    style: str = "plain"
    count: int = 1
    variant: int = 0

    def __post_init__(self):
        if isinstance(self.motion, str):
            object.__setattr__(self, "motion", motions.held_out(self.motion))
        choices = {"subject": SUBJECTS, "colour": tuple(COLOURS), "place": PLACES, "style": STYLES}
        choices |= {"count": (1, 2), "variant": tuple(range(VARIANTS))}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise BadInput(
                    f"A scene cannot have the {name} {getattr(self, name)!r}: choose one of "
                    f"{', '.join(map(str, allowed))}."
                )

    def with_(self, **changes) -> "Scene":
        """The same scene with some attributes changed."""
        return replace(self, **changes)

    def render(
        self, frames: int = 8, size: tuple[int, int] = (40, 64)
    ) -> Float[Tensor, "3 frame height width"]:
        """The scene as a clip in [-1, 1], its `frames` spread evenly from the first to the last."""
        return render([self], np.linspace(0, 1, frames)[None], size)[0]

    def centres(self, frames: int = 8) -> Float[Tensor, "frame 2"]:
        """True centres (y, x) in fractions of the frame; of two subjects, their middle."""
        return torch.tensor(self.motion.at(np.linspace(0, 1, frames))[0], dtype=torch.float32)

    def mask(
        self, frames: int = 8, size: tuple[int, int] = (40, 64)
    ) -> Bool[Tensor, "frame height width"]:
        """True where a subject covers at least half of the pixel."""
        return silhouettes([self], np.linspace(0, 1, frames)[None], size)[0, 0]

    def caption(self, rng: np.random.Generator | None = None, motion: bool = True) -> str:
        """The caption, e.g. "a red car is rising on the sand".

        With `rng`, colour, place and subject are each left out at random, as in training. Random
        paths and held-out motions are captioned "is moving"; so is everything if not `motion`.
        """
        keep = (lambda p: True) if rng is None else (lambda p: rng.random() < p)
        noun = self.subject if keep(0.95) else "thing"
        words = ["two" if self.count == 2 else "a", self.colour if keep(0.85) else ""]
        if self.count == 2:
            noun = noun if noun == "fish" else noun + "s"
        verb = self.motion.name if motion and self.motion.name in motions.NAMED else "moving"
        if words[:2] == ["a", "orange"]:
            words[0] = "an"
        words += [noun, "are" if self.count == 2 else "is", verb]
        words.append(self.place if keep(0.85) else "")
        text = " ".join(w for w in words if w)
        return text if self.style == "plain" else f"{text}, {self.style} style"


def random_scene(
    rng: np.random.Generator,
    styled: float = 0.15,
    pairs: float = 0.06,
    shares: Mapping[str, float] = motions.SHARES,
) -> Scene:
    """A training scene. `shares`: how often each motion is drawn; none is held out."""
    motion = motions.random_motion(rng, shares)
    return Scene(
        subject=str(rng.choice(SUBJECTS)),
        colour=str(rng.choice(list(COLOURS))),
        place=str(rng.choice(PLACES)),
        motion=motion,
        style=str(rng.choice(STYLES[1:])) if rng.random() < styled else "plain",
        count=2 if rng.random() < pairs else 1,
        variant=int(rng.integers(VARIANTS)),
    )


def render(
    scenes: list[Scene], times: Float[np.ndarray, "scene frame"], size: tuple[int, int] = (40, 64)
) -> Float[Tensor, "scene 3 frame height width"]:
    """Draw each scene at its own `times` in [0, 1]; antialiased, values in [-1, 1]."""
    distance, detail = _distances(scenes, times, size)
    unit = 1 / size[0] if size[0] * 8 <= size[1] * 5 else ASPECT / size[1]  # the finer pixel side
    fill = torch.tensor([COLOURS[s.colour] for s in scenes])[:, None, :, None, None]
    back = torch.stack([_backdrop(s, size) for s in scenes])[:, None]
    distance, detail = (
        d.unflatten(0, times.shape).unsqueeze(2) for d in (distance, detail)
    )  # (scene, frame, 1, height, width)
    image = torch.empty(*times.shape, 3, *size)
    for style in {s.style for s in scenes}:
        rows = torch.tensor([s.style == style for s in scenes])
        image[rows] = _PAINTERS[style](back[rows], fill[rows], distance[rows], detail[rows], unit)
    return (image * 2 - 1).clamp(-1, 1).transpose(1, 2).contiguous()


def silhouettes(
    scenes: list[Scene],
    times: Float[np.ndarray, "scene frame"],
    size: tuple[int, int] = (40, 64),
    margin: float = 0.0,
) -> Bool[Tensor, "scene 1 frame height width"]:
    """True within `margin`, in fractions of the frame's height, of a subject's silhouette."""
    distance, _ = _distances(scenes, times, size)
    return (distance < margin).unflatten(0, times.shape).unsqueeze(1)


def _backdrop(scene: Scene, size: tuple[int, int]) -> Tensor:
    if scene.style == "pixel art":
        y, x = (_blocky(c) for c in pixel_centres(*size))
        return paint(scene.place, scene.variant, y, x)
    if size[0] * size[1] <= _KEYFRAME_PIXELS:
        return keyframe_backdrop(scene.place, scene.variant, *size)
    return paint(scene.place, scene.variant, *pixel_centres(*size))


def _blocky(coordinate: Tensor) -> Tensor:
    """Snap to blocks of a twentieth of the frame's height: two keyframe pixels."""
    return ((coordinate * 20).floor() + 0.5) / 20


def _distances(scenes, times, size):
    """Distances to silhouette and details in frame heights, (scene·frame, height, width)."""
    poses = [s.motion.at(t) for s, t in zip(scenes, times, strict=True)]
    centre, scale, rotation = (
        torch.tensor(np.stack(p), dtype=torch.float32).flatten(0, 1)
        for p in zip(*poses, strict=True)
    )
    frames = times.shape[1]
    subject = torch.tensor([SUBJECTS.index(s.subject) for s in scenes]).repeat_interleave(frames)
    blocky = torch.tensor([s.style == "pixel art" for s in scenes]).repeat_interleave(frames)
    pair = torch.tensor([s.count == 2 for s in scenes]).repeat_interleave(frames)
    y, x = pixel_centres(*size)
    result = _place(subject, centre, scale, rotation, blocky, y, x)
    if pair.any():
        offset = torch.tensor(_PAIR)
        first, second = (
            _place(
                subject[pair],
                centre[pair] + o,
                scale[pair] * 0.7,
                rotation[pair],
                blocky[pair],
                y,
                x,
            )
            for o in (offset, -offset)
        )
        result[pair] = torch.minimum(first, second)
    return result.unbind(1)


def _place(subject, centre, scale, rotation, blocky, y, x):
    """Look the atlas up under each frame's shift, size and turn."""
    y, x = (torch.where(blocky[:, None, None], _blocky(c), c) for c in (y, x))
    dy = (y - centre[:, 0, None, None]) / scale[:, None, None]
    dx = (x - centre[:, 1, None, None] * ASPECT) / scale[:, None, None]
    cos, sin = rotation.cos()[:, None, None], rotation.sin()[:, None, None]
    grid = torch.stack([cos * dx + sin * dy, cos * dy - sin * dx], dim=-1) / EXTENT
    local = torch.empty(len(grid), 2, *grid.shape[1:3])
    for index in subject.unique():  # one table for all frames of a subject: it stays in the cache
        rows = subject == index
        table = atlas()[index].expand(int(rows.sum()), -1, -1, -1)
        local[rows] = F.grid_sample(table, grid[rows], padding_mode="border", align_corners=False)
    return local * scale[:, None, None, None]


def _cover(distance: Tensor, softness: float) -> Tensor:
    return (0.5 - distance / softness).clamp(0, 1)


def _over(below: Tensor, colour, alpha: Tensor) -> Tensor:
    colour = torch.tensor(colour)[:, None, None] if isinstance(colour, tuple) else colour
    return below + (colour - below) * alpha


def _plain(back, fill, distance, detail, unit):
    image = _over(back, INK, _cover(distance - _OUTLINE, unit))
    image = _over(image, fill, _cover(distance, unit))
    return _over(image, (1.0, 1.0, 1.0), _cover(detail, unit) * _cover(distance, unit))


def _neon(back, fill, distance, detail, unit):
    image = _over(back * 0.22, fill, 0.8 * torch.exp(-distance.clamp(min=0) / 0.035))
    image = _over(image, fill * 0.45, _cover(distance + _OUTLINE, unit))
    return _over(image, fill * 0.5 + 0.5, _cover(detail, unit) * _cover(distance + _OUTLINE, unit))


def _sketch(back, fill, distance, detail, unit):
    grey = back.mean(2, keepdim=True)
    image = _over(0.72 + 0.28 * grey.expand_as(back), INK, _cover(distance - 1.4 * _OUTLINE, unit))
    image = _over(image, 0.6 * fill + 0.4, _cover(distance, unit))
    return _over(image, INK, _cover(detail, unit) * _cover(distance, unit))


def _pixel_art(back, fill, distance, detail, unit):
    image = _over((back * 8).round() / 8, fill, (distance < 0).float())
    return _over(image, (1.0, 1.0, 1.0), ((detail < 0) & (distance < 0)).float())


def _watercolour(back, fill, distance, detail, unit):
    image = _over(0.5 * back + 0.48, 0.75 * fill + 0.1, 0.85 * _cover(distance, 0.06))
    return _over(image, (1.0, 1.0, 1.0), 0.8 * _cover(detail, 0.06) * _cover(distance, 0.06))


_PAINTERS = dict(zip(STYLES, (_plain, _neon, _sketch, _pixel_art, _watercolour), strict=True))

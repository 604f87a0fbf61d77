"""The rendered world: scenes, captions, ground truth and read-outs."""

from vmc.sprites.motions import FRAMES, HELD_OUT, NAMED, Motion, held_out, path
from vmc.sprites.places import PLACES
from vmc.sprites.read_out import ReadOut, read_out
from vmc.sprites.scene import COLOURS, STYLES, Scene, random_scene, render, silhouettes
from vmc.sprites.shapes import SUBJECTS

__all__ = [
    "COLOURS",
    "FRAMES",
    "HELD_OUT",
    "NAMED",
    "PLACES",
    "STYLES",
    "SUBJECTS",
    "Motion",
    "ReadOut",
    "Scene",
    "held_out",
    "path",
    "random_scene",
    "read_out",
    "render",
    "silhouettes",
]

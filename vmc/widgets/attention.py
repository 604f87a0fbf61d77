"""A viewer of temporal attention: which frames each frame looks at, at one pixel of a layer."""

import io

import ipywidgets
import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vmc.errors import BadInput
from vmc.motion import frame_residual
from vmc.video import to_uint8
from vmc.widgets.explorer import Explorer, slider

_PANELS = 4  # layers on the static picture
_ALL = "mean of all"


def explore_attention(
    maps: dict[str, Float[Tensor, "batch head _ _ frame frame"]],
    clip: Float[Tensor, "3 frame height width"],
    layer: str | None = None,
    pixel: tuple[int, int] | None = None,
) -> None:
    """Pick a layer, a head and a pixel of the clip: how much each frame takes from each.

    Arguments:
        maps: of `vmc.attention_maps.temporal_attention_maps`; the last of a batch is shown. Layers
            may have other resolutions than the clip, of which a pixel then is a patch.
        clip: what the maps belong to.
        layer: the one to begin with, the first if None.
        pixel: (y, x) to begin with, where the clip moves most if None.
    The static picture shows several layers at that pixel. Raises `BadInput` for a layer or a pixel
    that is not there.
    """
    attention_explorer(maps, clip, layer, pixel).show()


def attention_explorer(maps, clip, layer, pixel) -> Explorer:
    height, width = clip.shape[2:]
    if pixel is None:
        moved = frame_residual(clip).abs().sum((0, 1))
        pixel = divmod(int(moved.argmax()), width)
    y, x = pixel
    layer = next(iter(maps), None) if layer is None else layer
    if layer not in maps or not (0 <= y < height and 0 <= x < width):
        raise BadInput(
            f"There is no map of layer {layer!r} at pixel {(y, x)}: choose one of the layers "
            f"{', '.join(maps)}, and a pixel within {height} x {width}."
        )
    heads = max(weights.shape[1] for weights in maps.values())

    def weights_at(name: str, head: str, y: int, x: int) -> np.ndarray:
        weights = maps[name][-1]
        row, column = y * weights.shape[1] // height, x * weights.shape[2] // width
        chosen = weights[:, row, column]
        chosen = chosen.mean(0) if head == _ALL else chosen[int(head) % len(chosen)]
        return chosen.numpy()

    def draw(layer: str, head: str, y: int, x: int) -> Image.Image:
        return _panels(clip, (y, x), {layer: weights_at(layer, head, y, x)})

    chosen = np.unique(np.linspace(0, len(maps) - 1, _PANELS).round().astype(int))
    names = [list(maps)[i] for i in chosen]
    return Explorer(
        {
            "layer": ipywidgets.Dropdown(options=list(maps), value=layer, description="layer"),
            "head": ipywidgets.Dropdown(
                options=[_ALL, *map(str, range(heads))], description="head"
            ),
            "y": slider("y", y, height - 1),
            "x": slider("x", x, width - 1),
        },
        draw,
        _panels(clip, (y, x), {name: weights_at(name, _ALL, y, x) for name in names}),
        f"The clip, with a mark at pixel ({y}, {x}), and how much each frame takes from each frame "
        f"there, in the temporal attentions {', '.join(names)}",
    )


def _panels(clip: Tensor, pixel: tuple[int, int], panels: dict[str, np.ndarray]) -> Image.Image:
    """The frames with a mark, above a square of frame × frame for each of `panels`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), dpi=100, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 2.4))
    for axes, frame in zip(top.subplots(1, clip.shape[1]), to_uint8(clip), strict=True):
        axes.imshow(frame)
        axes.plot(pixel[1], pixel[0], "+", color="white", markersize=9, markeredgewidth=2.5)
        axes.plot(pixel[1], pixel[0], "+", color="black", markersize=8, markeredgewidth=1)
        axes.set(xticks=[], yticks=[])
    for axes, (name, weights) in zip(
        bottom.subplots(1, max(len(panels), 2), squeeze=False)[0], panels.items(), strict=False
    ):
        ticks = range(1, len(weights) + 1)
        edges = (0.5, len(weights) + 0.5)
        shown = axes.imshow(weights, vmin=0, extent=(*edges, *edges[::-1]))
        axes.set_title(_short(name), fontsize=8)
        axes.set(xlabel="takes from frame", ylabel="frame", xticks=ticks, yticks=ticks)
        bottom.colorbar(shown, ax=axes, shrink=0.8)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return Image.open(data)


def _short(name: str) -> str:
    """A layer's name without the parts that all of them have."""
    return name.replace(".temp_attentions", "").replace(".transformer_blocks.0", "")

"""Whether a new subject stands out from its place as the clip's own did.

Inverted noise is a dim picture of the clip: where a bright subject was, the noise is a little too
bright. A prompt whose subject is to be brighter than its place, too, is drawn there. One whose
subject is to be darker is not, whatever the motion. So trajectory errors are told apart by it.
"""

from functools import cache

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vmc.evaluation.tables import ATTRIBUTES, clips_of, markdown, number
from vmc.metrics import interval
from vmc.sprites import Scene

BOUND = 0.3  # of the cosine, up to which contrasts count as neither alike nor opposite


def contrast(scene: Scene) -> Float[Tensor, "3"]:
    """Mean red, green and blue of the subject minus that of what is around it; each in [-2, 2]."""
    picture, subject = scene.render(), scene.mask()
    return picture[:, subject].mean(1) - picture[:, ~subject].mean(1)


def agreement(one: Scene, other: Scene) -> float:
    """Cosine of two scenes' contrasts: 1 is the same, -1 the opposite."""
    return F.cosine_similarity(contrast(one), contrast(other), dim=0).item()


def by_contrast(source: list[dict], rows: dict[str, list[dict]]) -> str:
    """Markdown: the mean trajectory error of each way, by the agreement of clip and prompt.

    `source` holds the row of each clip, `rows` those of each way; intervals are over clips.
    """
    scenes = {clip: _scene(row) for clip, row in zip(clips_of(source), source, strict=True)}

    @cache  # every way was asked for the same prompts
    def agrees(clip, *looks) -> float:
        changes = dict(zip(ATTRIBUTES, looks, strict=True))
        return agreement(scenes[clip], scenes[clip].with_(**changes))

    kinds = {"alike": (BOUND, 2), "neither": (-BOUND, BOUND), "opposite": (-2, -BOUND)}
    lines = []
    for name, (low, high) in kinds.items():
        chosen = [
            [
                row
                for row, clip in zip(way, clips_of(way), strict=True)
                if low < agrees(clip, *(row[attribute] for attribute in ATTRIBUTES)) <= high
            ]
            for way in rows.values()
        ]
        lines.append([f"{name}, {len(chosen[0])} results"])
        for way in chosen:
            errors = [row["trajectory_error"] for row in way]
            lines[-1].append(number(interval(errors, clips_of(way))) if way else "")
    return markdown(["contrast of subject and place", *rows], lines)


def _scene(row: dict) -> Scene:
    return Scene(*(row[name] for name in ATTRIBUTES), row["motion"])

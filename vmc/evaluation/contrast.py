"""Whether a new subject stands out from its place as the clip's own did.

Inverted noise is a dim picture of the clip: where a bright subject was, the noise is a little too
bright. A prompt whose subject is to be brighter than its place, too, is drawn there. One whose
subject is to be darker is not, whatever the motion. So trajectory errors are told apart by it.
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vmc.evaluation.tables import markdown, number
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
    clips = {(row["motion"], row["seed"]): _scene(row) for row in source}
    kinds = {"alike": (BOUND, 2), "neither": (-BOUND, BOUND), "opposite": (-2, -BOUND)}
    lines = {name: [f"{name}, 0 results"] for name in kinds}
    for way in rows.values():
        cosines = np.array(
            [agreement(clips[row["motion"], row["seed"]], _scene(row)) for row in way]
        )
        for name, (low, high) in kinds.items():
            chosen = [row for row, cos in zip(way, cosines, strict=True) if low < cos <= high]
            lines[name][0] = f"{name}, {len(chosen)} results"
            errors = [row["trajectory_error"] for row in chosen]
            owners = [(row["motion"], row["seed"]) for row in chosen]
            lines[name].append(number(interval(errors, owners)) if chosen else "")
    return markdown(["contrast of subject and place", *rows], list(lines.values()))


def _scene(row: dict) -> Scene:
    return Scene(row["subject"], row["colour"], row["place"], row["motion"])

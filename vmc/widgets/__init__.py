"""What the notebooks show: clips, tables, progress, dashboards and explorers.

Where no front end answers (nbval, nbconvert, a reader on GitHub) each leaves a static picture with
the same content, after doing the work.
"""

from vmc.widgets.attention import explore_attention
from vmc.widgets.curves import curves
from vmc.widgets.dashboard import TuningDashboard, tuning_dashboard
from vmc.widgets.forward_process import explore_motion, explore_noise
from vmc.widgets.generation import explore_cascade, explore_inversion
from vmc.widgets.progressing import progress
from vmc.widgets.prompting import PromptEditor, edit_prompt
from vmc.widgets.shown import show, table
from vmc.widgets.sketching import Sketchpad, sketchpad
from vmc.widgets.tuning import watch

__all__ = [
    "PromptEditor",
    "Sketchpad",
    "TuningDashboard",
    "curves",
    "edit_prompt",
    "explore_attention",
    "explore_cascade",
    "explore_inversion",
    "explore_motion",
    "explore_noise",
    "progress",
    "show",
    "sketchpad",
    "table",
    "tuning_dashboard",
    "watch",
]

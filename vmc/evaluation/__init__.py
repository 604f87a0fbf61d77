"""Does the model draw what it is told, and does a motion come across? Measured on the rendered
world, whose read-outs make right and wrong, and the distance between two paths, facts.
"""

from vmc.evaluation.comparison import SOURCE, WAYS, FourWay, four_way
from vmc.evaluation.examination import PretrainingReport, motion_shown, pretraining_report
from vmc.evaluation.pictures import comparison_sheet

__all__ = [
    "SOURCE",
    "WAYS",
    "FourWay",
    "PretrainingReport",
    "comparison_sheet",
    "four_way",
    "motion_shown",
    "pretraining_report",
]

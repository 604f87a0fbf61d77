"""Clips in and out: video files, GIFs, folders of frames and arrays.

A clip is a tensor (3, frame, height, width) in [-1, 1].
"""

from vmc.video.reading import as_clip, load_video
from vmc.video.writing import contact_sheet, save_video, to_uint8, write_atomically

__all__ = ["as_clip", "contact_sheet", "load_video", "save_video", "to_uint8", "write_atomically"]

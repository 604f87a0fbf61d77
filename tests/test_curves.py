"""Curves in an executed notebook, and what is refused."""

import pytest
import torch

from vmc.errors import BadInput
from vmc.widgets import curves, output


def test_a_picture_with_its_words(monkeypatch):
    shown = []
    monkeypatch.setattr(output, "in_notebook", lambda: True)
    monkeypatch.setattr(
        output, "display", lambda data, metadata, raw: shown.append((data, metadata))
    )
    t = torch.arange(3.0)
    curves({"a": (t, t), "b": ([0, 1], [3, 2])}, ("t", "size"), "two lines that cross", "log")
    ((data, metadata),) = shown
    assert metadata == {"image/png": {"alt": "two lines that cross"}}
    assert data["image/png"].startswith("iVBOR") and data["text/plain"] == "two lines that cross"


@pytest.mark.parametrize("lines, said", [({}, "none"), ({"a": ([1], [])}, "a is not")])
def test_what_makes_no_line_is_refused(lines, said):
    with pytest.raises(BadInput, match=said):
        curves(lines, ("x", "y"), "nothing")

"""Matplotlib without a screen, and how figures are written."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

TOY = "physics-motivated toy; not IceCube simulation"
"""Default notice in the corner of a figure."""
NOTICE_HEIGHT = 0.12
"""Height of the line of the notice, inches."""

__all__ = ["TOY", "plt", "save"]


def save(figure: Any, path: Path, notice: str = TOY) -> Path:
    """Writes a figure with a small notice in its corner and closes it.

    Args:
      figure: of matplotlib.
      path: of the file.
      notice: text in the corner.

    Returns:
      The path.
    """
    if notice:
        if figure.get_layout_engine():  # the notice has a line of its own above the axes
            figure.get_layout_engine().set(rect=(0, 0, 1, 1 - NOTICE_HEIGHT / figure.get_figheight()))
        figure.text(0.995, 0.995, notice, ha="right", va="top", fontsize=6, color="0.4")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path

"""Matplotlib without a screen: figures of one style, which belong to no window, and how they are written."""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from evgen_jax.measurement.event import Event

SIMULATED = "simulated with light from photon transport tables; not IceCube simulation"
"""Notice below figures of the demo."""
STYLE = "evgen_jax.report.plots.style"
"""Style file of all figures, as `matplotlib.pyplot.style` names it."""
MARKS: dict[str, dict[str, Any]] = {
    "truth": {"color": "#D55E00", "marker": "*", "ms": 16, "mec": "white", "mew": 0.8},
    "seed": {"color": "#E69F00", "marker": "s", "ms": 6, "mec": "white", "mew": 0.8},
    "fit": {"color": "black", "marker": "o", "ms": 5, "mec": "white", "mew": 0.8},
}
"""How hypotheses are marked in all figures, by the name that legends show: marks of one place are seen beside each other."""

LEVELS = (0.5, 0.9)
"""Confidence levels of contours in two parameters."""
DEEPEST = 25.0
"""Largest 2 (best - log-likelihood) that has a colour of its own."""
GAP = 0.05
"""Between what is drawn and title or notice, inches."""
UNITS = ((1e6, "PeV"), (1e3, "TeV"), (1.0, "GeV"))
"""Units of energies in titles, in GeV."""
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


class Drawing(Figure):
    """Is a figure of matplotlib that belongs to no window: notebooks show it, and files hold it, with all that stands around it.

    Neither pyplot nor a backend is touched, so that a notebook shows it once and figures of one's own stay as they are.
    """

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Writes the figure with its title and notice, which stand outside of its own area.

        Args:
          fname: path or file, .png, .pdf, .svg and others.
          **kwargs: as those of `matplotlib.figure.Figure.savefig`.
        """
        with matplotlib.style.context(STYLE):
            super().savefig(fname, **kwargs)

    def _repr_png_(self) -> bytes:
        """The figure as notebooks show it."""
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def styled(draw: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """Lets a function draw in the style of all figures, without a change of matplotlib's global settings.

    Args:
      draw: function that makes a figure.

    Returns:
      The function, within a context of the style.
    """

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        with matplotlib.style.context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def event_title(name: str, energy: float | None, event: Event) -> str:
    """Names an event in the title of a figure.

    Args:
      name: such as "Run 1, event 3".
      energy: GeV; None where the hypothesis has no energy.
      event: gives pulses and charge.

    Returns:
      Such as "Run 1, event 3: 2.3 TeV, 412 pulses, 387 PE".

    Example:
      title = event_title("Run 1, event 3", 2300.0, event)
    """
    pulses = int(event.pulses.mask.sum())
    facts = [f"{pulses} pulse{'s' if pulses != 1 else ''}", f"{float(event.charge.sum()):.0f} PE"]
    if energy is not None:
        scale, unit = next(row for row in UNITS if energy >= row[0] or row[0] == 1)
        facts.insert(0, f"{energy / scale:.3g} {unit}")
    return f"{name}: {', '.join(facts)}"


def draw_contours(axis: Any, *grid: np.ndarray) -> Any:
    """Draws contours of `LEVELS` in two parameters (Wilks), labelled in per cent.

    Args:
      axis: of matplotlib.
      grid: coordinates, if any, and 2 (best - log-likelihood), as `contour` takes them.

    Returns:
      The contours of matplotlib.
    """
    levels = [stats.chi2.ppf(level, 2) for level in LEVELS]
    contours = axis.contour(*grid, levels=levels, colors="black", linewidths=1)
    names = dict(zip(contours.levels, (f"{100 * level:.0f} %" for level in LEVELS), strict=True))
    axis.clabel(contours, fmt=names, fontsize=8)
    return contours


def empty(**kwargs: Any) -> Drawing:
    """Makes a figure without axes.

    Args:
      **kwargs: as those of `matplotlib.figure.Figure`, such as `figsize`.

    Returns:
      The figure.
    """
    figure = Drawing(**kwargs)
    FigureCanvasAgg(figure)  # draws it
    return figure


def subplots(rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **kwargs: Any) -> tuple[Drawing, Any]:
    """Makes a figure with axes.

    Args:
      rows: number of axes from top to bottom.
      columns: number of axes from left to right.
      figsize: width and height, inches.
      **kwargs: as those of `matplotlib.figure.Figure.subplots`.

    Returns:
      The figure, and its axes or an array of them.
    """
    figure = empty(figsize=figsize)
    return figure, figure.subplots(rows, columns, **kwargs)


def finished(figure: Drawing, title: str = "", notice: str = "") -> Drawing:
    """Puts the title above and a small notice below everything drawn.

    Args:
      figure: of `subplots`.
      title: of the whole figure.
      notice: text below the figure.

    Returns:
      The figure.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what stands where is settled; both texts go around it
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    left, right = box.x0 / width, box.x1 / width
    top = box.y1
    for legend in figure.legends:
        # Held where it is: it would follow the upper edge of the file, where the title stands.
        own = legend.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        legend.set_loc("lower left")
        legend.borderaxespad = 0.0
        legend.set_bbox_to_anchor((own.x0 / width, own.y0 / height), transform=figure.transFigure)
        top = max(top, own.y1)
    figure.text(left, (top + GAP) / height, title, ha="left", va="bottom", fontsize=10, fontweight="bold")
    figure.text(right, (box.y0 - GAP) / height, notice, ha="right", va="top", fontsize=6.5, color="0.4")
    return figure


def write(path: Path, figure: Drawing) -> Path:
    """Writes a figure.

    Args:
      path: of the file, whose directory is made if needed.
      figure: that is finished.

    Returns:
      The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path

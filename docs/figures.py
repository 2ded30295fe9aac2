"""Figures of the pages: `python docs/figures.py [DIRECTORY]` makes them all; the build of the site those that are missing."""

import sys
from pathlib import Path

import jax
import numpy as np

import evgen_jax as eg
from evgen_jax import reconstruction, simulation
from evgen_jax.report.plots.canvas import SIMULATED, event_title, finished, styled, subplots, write
from evgen_jax.report.plots.display import event_display
from evgen_jax.report.plots.sky import sky_map as draw_sky_map

FIGURES = Path(__file__).parent / "figures"
"""Where the pages look for their figures."""
READOUT = (0.0, 20000.0)
"""Readout window of the simulated event, ns."""
NOTICE = "simulated with the network demo, which learned light of photon transport tables; not IceCube simulation"
"""Below the figures of the event."""


@styled
def light_adds(path: Path) -> Path:
    """Draws the light of two cascades and of noise, each alone and all together, on a string and in time at one module.

    Args:
      path: of the figure.

    Returns:
      The path.
    """
    whole = eg.load_detector()
    model = simulation.analytic_model(whole.modules(np.flatnonzero(whole.string == 36)))
    x, y = np.asarray(model.detector.position)[0, :2]
    depth = np.asarray(model.detector.position)[:, 2]
    seen = int(np.argmin(np.abs(depth)))
    times = np.linspace(9900, 11900, 201)
    expect = eg.make_dom_expectation(model)
    where = {"first cascade": (x + 35, y + 10, 120.0, 9900.0), "second cascade": (x - 30, y - 25, -60.0, 10050.0)}

    def light(energy: float, place: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Expected charge of each module, PE, and that of one module per ns."""
        px, py, pz, time = place
        hypothesis = model.hypothesis(x=px, y=py, z=pz, zenith=0.9, azimuth=1.0, energy=energy, time=time)
        view = expect(model.variables, hypothesis, times)
        return np.asarray(view.charge), np.asarray(view.charge * view.pdf.T)[:, seen]

    nothing = light(1e-3, (x, y, 3000.0, 9900.0))  # the noise alone: the cascade is far away
    parts = {name: tuple(a - b for a, b in zip(light(5e3, at), nothing, strict=True)) for name, at in where.items()}
    parts["noise"] = nothing
    parts["all together"] = tuple(sum(part[i] for part in parts.values()) for i in (0, 1))
    figure, (left, right) = subplots(1, 2, figsize=(9, 4))
    styles = {"first cascade": "C0-", "second cascade": "C1-", "noise": "0.6", "all together": "k--"}
    for name, (charge, rate) in parts.items():
        look = {"color": styles[name]} if name == "noise" else {}
        marks = () if name == "noise" else (styles[name],)
        left.plot(np.maximum(charge, 1e-4), depth, *marks, **look, label=name)
        right.plot(times, rate, *marks, **look)
    left.set(
        xscale="log", xlim=(3e-3, None), xlabel="expected charge (PE)", ylabel="z (m)", title="modules of a string"
    )
    right.set(
        xlabel="time (ns)", ylabel="expected charge per ns (PE/ns)", title=f"one module, at z = {depth[seen]:.0f} m"
    )
    left.legend()
    return write(path, finished(figure, "Light adds: at every module, at every time", SIMULATED))


def event(directory: Path) -> None:
    """Draws a simulated event with its fit, and its sky map.

    Args:
      directory: of both figures, event.png and sky_map.png.
    """
    model = eg.load_model("demo")
    truth = model.hypothesis(x=20, y=-30, z=-150, zenith=1.1, azimuth=2.0, energy=2000, time=9900)
    (measured,) = simulation.EventSampler(model, READOUT).events(truth[None], jax.random.key(1))
    seed = truth + [10, -8, 9, 0.15, 0.1, 500, 40]
    (fit,) = eg.reconstruct(model, [measured], seed[None])
    title = event_title("A simulated event", truth[5], measured)
    texts = {"title": title, "notice": NOTICE}
    write(directory / "event.png", event_display(model, measured, fit, truth=truth, seed=seed, **texts))
    sky_map = reconstruction.make_sky_map(model, resolved=10)(measured, fit.hypothesis)
    drawn = draw_sky_map(sky_map, truth=(float(truth[3]), float(truth[4])), **texts)
    write(directory / "sky_map.png", drawn)


def make_missing(directory: Path) -> None:
    """Makes the figures that are not there.

    Args:
      directory: of the figures.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "light_adds.svg").exists():
        light_adds(directory / "light_adds.svg")
    if not all((directory / name).exists() for name in ("event.png", "sky_map.png")):
        event(directory)


if __name__ == "__main__":
    make_missing(Path(sys.argv[1]) if len(sys.argv) > 1 else FIGURES)

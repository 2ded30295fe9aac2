"""Imported models beside the program that trained them: light, densities and losses of the same events.

python benchmarks/import_parity.py [DIR]

DIR holds exports of Event-Generator and its answers, NAME and NAME_CASE.npz (see shared/reference/tensorflow_export/FORMAT.md).
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import machine, print_head, print_row

import evgen_jax as eg
from evgen_jax.measurement.event import Event, build_event
from evgen_jax.measurement.padding import repad
from evgen_jax.model.terms import TERMS, floored, pulse_cdf, pulse_pdf
from evgen_jax.physics.constants import TIME_UNIT

EXPORTS = Path(__file__).resolve().parents[2] / "shared" / "reference" / "tensorflow_export"


def event_of(z, number: int, num_doms: int) -> tuple[Event, np.ndarray]:
    """An event of the answers, and the places of its pulses there in the order that they have here."""
    labels, pulses = z["in/x_pulses_ids"], z["in/x_pulses"].astype(float)
    own = np.flatnonzero(labels[:, 0] == number)
    dom = labels[own, 1].astype(int) * 60 + labels[own, 2]
    windows = {}
    if "in/x_time_exclusions" in z.files:
        excluded = z["in/x_time_exclusions_ids"].astype(int)
        mine = excluded[:, 0] == number
        windows = {
            "windows": z["in/x_time_exclusions"][mine].astype(float),
            "window_dom": excluded[mine, 1] * 60 + excluded[mine, 2],
        }
    event = build_event(
        pulses[own, 0],
        pulses[own, 1],
        dom,
        num_doms=num_doms,
        usable=z["in/x_dom_exclusions"][number].ravel(),
        readout=tuple(z["in/x_time_window"][number]),
        drop_in_windows=False,
        **windows,
    )
    return event, own[np.lexsort((pulses[own, 1], dom))]


def compare(name: str, case: str, directory: Path, per_microsecond: bool) -> tuple[list[str], list[list[str]]]:
    """Largest differences of the light, and rows of losses."""
    z = np.load(directory / f"{name}_{case}.npz")
    model = eg.import_model(directory / name, densities_per_microsecond=per_microsecond).model
    unit = 1 if per_microsecond else TIME_UNIT
    found = [event_of(z, number, model.detector.num_doms) for number in range(len(z["events"]))]
    shapes = [(e.pulses.charge.shape[0], e.active.shape[0], e.windows.start.shape[0]) for e, _ in found]
    sizes = [max(shape) for shape in zip(*shapes, strict=True)]

    @jax.jit
    def of_one(model, hypothesis, event):
        light = floored(model.source.light_yield(model.variables, hypothesis, event, model.detector, True))
        here = {key: term(light, event).total() for key, term in TERMS.items()}
        return light, here, eg.event_generator_losses(model, hypothesis, event)

    differences: dict[str, list[np.ndarray]] = {"charge": [], "variance": [], "density": [], "cumulative": []}
    sums: dict[str, np.ndarray] = {}
    for number, (event, order) in enumerate(found):
        padded, h = repad(event, *sizes), jnp.asarray(z["in/x_parameters"][number], jnp.float64)
        light, here, there = of_one(model, h, padded)
        own = {
            "charge": (light.charge, z["out/dom_charges"][number].ravel()),
            "variance": (light.charge + light.excess, z["out/dom_charges_variance"][number].ravel()),
            "density": (np.asarray(pulse_pdf(light, padded))[: len(order)], z["out/pulse_pdf"][order] / unit),
        }
        for key, (ours, theirs) in own.items():
            visible = theirs > 1e-25
            differences[key].append(np.abs(np.asarray(ours, float)[visible] / theirs[visible] - 1))
        passed = np.asarray(pulse_cdf(light, padded))[: len(order)] - np.clip(z["out/pulse_cdf"][order], 0, 1)
        differences["cumulative"].append(np.abs(passed))
        for key in there:
            sums[key] = sums.get(key, np.zeros(2)) + [float(there[key]), float(here[key])]
    rows = []
    for key, (there, here) in sums.items():
        if f"loss/{key}" in z.files:
            theirs = float(z[f"loss/{key}"])
            rows.append([key, f"{theirs:.3f}", f"{there:.3f}", f"{there / theirs - 1:.1e}", f"{here:.3f}"])
    configured = [term.name for term in model.loss.terms]
    total = sum(sums[key][0] for key in configured)
    theirs = float(z["loss/CONFIG"])
    here = sum(sums[key][1] for key in configured)
    rows.append(
        [
            f"of the configuration ({' + '.join(configured)})",
            f"{theirs:.3f}",
            f"{total:.3f}",
            f"{total / theirs - 1:.1e}",
            f"{here:.3f}",
        ]
    )
    return [f"{np.concatenate(values).max():.1e}" for values in differences.values()], rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=EXPORTS)
    directory = parser.parse_args().directory
    answers = sorted(directory.glob("*_*.npz"))
    if not answers:
        raise SystemExit(f"{directory}: no exports with their answers (NAME_CASE.npz) there.")
    print(machine())
    light, losses = [], []
    with jax.enable_x64(True):  # sums and times; the networks are float32
        for path in answers:
            name, _, case = path.stem.rpartition("_")
            for flag in (False, True):
                differences, rows = compare(name, case, directory, flag)
                light.append([name, case, "--densities-per-microsecond" if flag else "", *differences])
            losses += [[name, case, *row] for row in rows]
    print("Largest differences from Event-Generator's own outputs, relative (cumulative: absolute).\n")
    print_head(
        "export", "case", "imported with", "charge of a module", "its variance", "time density of a pulse", "cumulative"
    )
    for row in light:
        print_row(*row)
    print(
        "\nBeside noise densities are right as they are imported, and Event-Generator's with --densities-per-microsecond; the variance "
        "between the components of noise is missing there.\n\nLosses, summed over the events. `event_generator_losses` computes those of "
        "Event-Generator, with all that is wrong there; the last column is what a fit with --densities-per-microsecond has.\n"
    )
    print_head(
        "export",
        "case",
        "term",
        "Event-Generator",
        "`event_generator_losses`",
        "relative difference",
        "here, per microsecond",
    )
    for row in losses:
        print_row(*row)


if __name__ == "__main__":
    main()

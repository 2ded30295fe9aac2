"""Light of showers photon by photon through layers: its cost, and how far the table with averaged lengths is from it.

    python benchmarks/photons_in_layers.py [--photons N] [--cascades N] [--radius M] [--events N] [--output FILE]

The first table says what photons cost, in seconds of all cores (process time), so that the numbers hold for one core, whatever
else runs; on an accelerator they are wall time. The second one compares showers of 10 TeV at depths all through IceCube-86 with
the light table in lengths averaged along the straight way: modules with over 0.3 photoelectrons, further than 15 m. The scatter
of modules has the statistical errors of the photons taken away.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from common import machine, print_head, print_row
from jax.scipy.special import gammainc

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import SimulationSettings
from evgen_jax.measurement.sensors import incoming_cosine, sensor_moments, sensor_response
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.physics.medium import mean_lengths
from evgen_jax.physics.transport.emission import Shower
from evgen_jax.physics.transport.in_layers import PointSource
from evgen_jax.physics.transport.layers import layers_of
from evgen_jax.physics.transport.light_table import table_light
from evgen_jax.physics.transport.photon_by_photon import propagate
from evgen_jax.physics.transport.spheres import spheres_around
from evgen_jax.physics.transport.table_file import load_table
from evgen_jax.simulation.photons import PhotonSampler

ENERGY = 1e4
"""GeV, of the showers that are compared."""
LIT, NEAREST, PRECISE = 0.3, 15.0, 0.25
"""Modules that are compared: PE and m, and the largest relative error of the photons."""
LEVEL, FAR = 0.15, 100.0
"""Largest cosine of the zenith of ways that are called level, and distance in m from which: most light goes through other layers."""
GROUPS = 8
"""Groups of photons, whose spread gives the error."""
ZENITHS = (0.6, 2.6, 1.6)
"""Directions of the showers in turn, rad."""
EDGES = np.array([0.0, 10, 20, 30, 45, 65, 90, 125, 170, 230, 310, 420, 560, 750, 1000, 1400, 2000, 3000, 6000])
"""Delays, ns, up to which shares of the light are compared."""


def seconds() -> float:
    return time.process_time() if jax.default_backend() == "cpu" else time.perf_counter()


class Photons:
    """Charges and delays photon by photon.

    Args:
      detector: in its medium.
      radius: of the spheres, m.
      photons: number of photons of a shower.
    """

    def __init__(self, detector: eg.Detector, radius: float, photons: int):
        self.detector, self.photons = jax.tree.map(jnp.asarray, detector), photons
        self.medium, self.position = detector.medium, np.asarray(detector.position, np.float64)
        self.layers, self.spheres = layers_of(self.medium, detector.origin), spheres_around(self.position, radius)
        (self.curve,) = detector.kinds
        self.scatterings, self.spent = 0, 0.0

    def __call__(self, position: np.ndarray, axis: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Charges [D] in PE, their errors [D], and charges by the delay [D, len(EDGES) - 1]."""
        velocity, count = float(self.medium.group_velocity), len(self.position)
        away = np.linalg.norm(self.position - position, axis=1)
        parts, late = [], np.zeros((count, len(EDGES) - 1))
        scale = (
            float(self.medium.photons_per_gev)
            * ENERGY
            * np.asarray(self.detector.area * self.detector.relative_efficiency)
        )
        grid = np.linspace(-1, 1, 4001)
        response = np.asarray(self.curve(jnp.asarray(grid)))
        for key in jax.random.split(jax.random.key(seed), GROUPS):
            begin = seconds()
            emission, source = Shower(float(self.medium.phase_index)), PointSource(position, axis)
            seen = propagate(self.layers, self.spheres, emission, source, velocity, self.photons // GROUPS, key)
            self.spent, self.scatterings = self.spent + seconds() - begin, self.scatterings + seen.collisions
            cosine = -np.sum(seen.direction * np.asarray(self.detector.axis)[seen.module], axis=1)
            charge = seen.fluence * scale[seen.module] * np.interp(cosine, grid, response)
            parts.append(np.bincount(seen.module, charge, count))
            delay = seen.delay - away[seen.module] / velocity
            late += np.histogram2d(seen.module, delay, [np.arange(count + 1), EDGES], weights=charge)[0] / GROUPS
        return np.mean(parts, axis=0), np.std(parts, axis=0, ddof=1) / np.sqrt(GROUPS), late


@jax.jit
def table_charges(table, detector: eg.Detector, position, axis):
    """Charges [D] in PE of the table in averaged lengths, and charges by the delay [D, len(EDGES) - 1]."""
    away = detector.position - position[None]
    distance = jnp.linalg.norm(away, axis=1)
    unit = away / distance[:, None]
    scattering, absorption = mean_lengths(
        detector.medium, position[2] + detector.origin[2], detector.position[:, 2] + detector.origin[2]
    )
    light = table_light(table, distance / scattering, unit @ axis, scattering / absorption)
    photons = detector.medium.photons_per_gev * ENERGY * jnp.exp(light.log_fluence) / (4 * jnp.pi * distance**2)
    first, slope = sensor_moments(detector)
    mean = -(light.outward * jnp.sum(unit * detector.axis, axis=1) - light.axial * (detector.axis @ axis))
    direct = jnp.exp(-distance / (0.1 * scattering))
    response = direct * sensor_response(detector, incoming_cosine(detector, unit)) + (1 - direct) * (
        first + slope * mean
    )
    charge = photons * response * detector.area * detector.relative_efficiency
    steps = jnp.asarray(EDGES)[None, None] * (detector.medium.group_velocity / scattering)[:, None, None]
    reached = jnp.sum(
        jnp.exp(light.log_weight)[..., None] * gammainc(light.shape[..., None], light.rate[..., None] * steps), axis=1
    )
    return charge, charge[:, None] * jnp.diff(reached, axis=-1)


def print_costs(detector: eg.Detector, events: int, per_event: int, photons: Photons) -> None:
    """What photons of an event cost, by its energy."""
    model, settings = analytic_model(detector), SimulationSettings(light="photons", photons=per_event)
    sampler, rng = PhotonSampler(model, settings), np.random.default_rng(1)
    print(f"{photons.scatterings / photons.spent / 1e6:.3g} million scatterings per second and core\n")
    print_head("energy (TeV)", "photons", "seconds per event", "pulses per event")
    place = rng.uniform([-300, -300, -450], [300, 300, 450], (events, 3))
    direction = np.stack([np.arccos(rng.uniform(-1, 1, events)), rng.uniform(0, 2 * np.pi, events)], axis=1)
    for energy in (1e3, 1e4, 5e4):
        rows = np.concatenate([place, direction, np.tile([energy, 1e4], (events, 1))], axis=1)
        sampler(rows[:1], jax.random.key(1), True, rng)
        begin = seconds()
        pulses = sampler(rows, jax.random.key(2), True, rng)
        spent = (seconds() - begin) / events
        print_row(f"{energy / 1e3:g}", settings.photons, f"{spent:.3g}", f"{len(pulses['time']) / events:.0f}")


def draw(path: Path, rows: list[dict], detector: eg.Detector) -> None:
    """Modules by their z, and totals and scatter by the z of the shower."""
    z = np.linspace(-500, 500, 400)
    coefficient = 1 / np.asarray(mean_lengths(detector.medium, z, z)[0])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharex=True)
    modules, log, level = (np.concatenate([row[name] for row in rows]) for name in ("modules", "log", "level"))
    for own, colour, text in ((~level, "#0072b2", "other ways"), (level, "#d55e00", "level ways beyond 100 m")):
        left.scatter(modules[own], log[own], s=6, color=colour, alpha=0.6, linewidths=0, label=text)
    left.set(xlabel="z of the module (m)", ylabel="ln (table / photons)", ylim=(-1.5, 1.5), title=f"{len(log)} modules")
    where = [row["z"] for row in rows]
    right.plot(
        where, [row["total"] - 1 for row in rows], "o-", color="#0072b2", label="total light: table / photons - 1"
    )
    right.plot(
        where, [row["scatter"] for row in rows], "s--", color="#d55e00", label="scatter of modules in the logarithm"
    )
    right.set(xlabel="z of the shower (m)", ylim=(-0.2, 0.6), title=f"{len(rows)} showers of 10 TeV in IceCube-86")
    for axes in (left, right):
        axes.axhline(0, color="0.3", linewidth=0.8)
        ice = axes.twinx()
        filled = ice.fill_between(
            z, coefficient, color="0.5", alpha=0.25, linewidth=0, label="scattering coefficient of the ice"
        )
        ice.set(ylim=(0, 4 * float(coefficient.max())), yticks=[])
        axes.set_zorder(ice.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.legend(
            handles=[*axes.get_legend_handles_labels()[0], filled],
            loc="upper left",
            frameon=False,
            fontsize=8,
            markerscale=1.5,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=int, default=1_000_000, help="of every shower")
    parser.add_argument("--cascades", type=int, default=12)
    parser.add_argument("--radius", type=float, default=6.0, help="of the spheres, m")
    parser.add_argument("--events", type=int, default=20, help="of every energy, whose time is taken")
    parser.add_argument("--per-event", type=int, default=SimulationSettings().photons, help="photons of an event")
    parser.add_argument("--output", type=Path, help="figure of the comparison")
    given = parser.parse_args()
    detector = eg.load_detector()
    arrays = jax.tree.map(lambda value: jnp.asarray(value, jnp.result_type(value)), detector)
    photons, table, rows = Photons(detector, given.radius, given.photons), load_table("shower_ice"), []
    z = np.linspace(-450, 450, given.cascades)
    photons(np.array([20.0, 30.0, z[0]]), np.array([0.0, 0.0, 1.0]), 0)  # compiles
    photons.scatterings, photons.spent = 0, 0.0
    for number, height in enumerate(z):
        zenith, position = ZENITHS[number % len(ZENITHS)], np.array([20.0, 30.0, height])
        axis = np.asarray(flight_direction(jnp.asarray(zenith), jnp.asarray(1.0)))
        mean, error, late = photons(position, axis, number)
        charge, by_delay = map(
            np.asarray, table_charges(table, arrays, jnp.asarray(position, jnp.float32), jnp.asarray(axis))
        )
        away = np.linalg.norm(photons.position - position, axis=1)
        lit = (mean > LIT) & (away > NEAREST) & (error < PRECISE * mean)
        level = (np.abs(photons.position[:, 2] - height) < LEVEL * away) & (away > FAR)
        log = np.log(charge[lit] / mean[lit])
        scatter = np.sqrt(max(np.var(log) - np.mean((error[lit] / mean[lit]) ** 2), 0))
        shares = [np.cumsum(part[lit].sum(axis=0)) / part[lit].sum() for part in (by_delay, late)]
        rows.append(
            {
                "z": height, "zenith": zenith, "modules": photons.position[lit, 2], "log": log, "scatter": scatter, "level": level[lit],
                "total": charge[lit].sum() / mean[lit].sum(), "delay": np.max(np.abs(shares[0] - shares[1])),
                "length": float(mean_lengths(detector.medium, height, height)[0]),
            }
        )  # fmt: skip
    print(machine())
    print_costs(detector, given.events, given.per_event, photons)
    print(f"\n{given.photons} photons a shower, spheres of {given.radius:g} m; azimuth of the showers 1 rad\n")
    print_head(
        "z (m)", "zenith", "effective scattering length (m)", "modules", "total: table / photons", "scatter of modules",
        "delays: CDF off by",
    )  # fmt: skip
    for row in rows:
        agreement = (f"{row[name]:.3f}" for name in ("total", "scatter", "delay"))
        print_row(f"{row['z']:.0f}", row["zenith"], f"{row['length']:.1f}", len(row["log"]), *agreement)
    log, level = (np.concatenate([row[name] for row in rows]) for name in ("log", "level"))
    print()
    print_head("ln(table / photons), photons' errors included", "root mean square", "modules", "least", "most")
    every = np.ones_like(level)
    for name, own in (("all", every), ("level ways beyond 100 m", level), ("other ways", ~level)):
        if own.any():
            spread = f"{np.sqrt(np.mean(log[own] ** 2)):.2f}"
            print_row(name, spread, own.sum(), f"{log[own].min():.2f}", f"{log[own].max():.2f}")
    if given.output:
        draw(given.output, rows, detector)


if __name__ == "__main__":
    main()

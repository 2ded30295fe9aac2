"""Makes the light tables of the package from nothing: follows photons, fits the tables, checks them.

    python experiments/photon_tables.py [NAME ...] [--photons 16777216] [--seed 1] [-o DIR] [--tallies DIR] [--check]

Names: shower_ice, muon_ice, shower_water, muon_water; all, if none is given. Writes DIR/light_NAME.npz. With --tallies
the sums of photons are kept in that folder and used again by a later run with the same number of photons and seed.
With --check the tables of the package are compared with the photons, and none is made. A table of ice takes 4 minutes of one core for
its photons and half a minute for its fit; those of water need 67 million photons, with fewer their surfaces run away, which is told.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.compare import difference, table_in_cells
from evgen_jax.physics.transport.emission import WATER_PHASE_INDEX, Cone, Emission, Shower
from evgen_jax.physics.transport.make_table import make_table
from evgen_jax.physics.transport.scattering import SEA_WATER, SOUTH_POLE_ICE, Scattering
from evgen_jax.physics.transport.surface import Grid
from evgen_jax.physics.transport.table_file import load_table, save_table, table_origin
from evgen_jax.physics.transport.tally import Tally, mean_and_error, tally


class Medium(NamedTuple):
    """A kind of medium: how it scatters, the cells and knots of its tables, and its usual absorption."""

    scattering: Scattering
    cells: Cells
    intervals: tuple[int, int]
    absorption: float


# Absorption: 30 m over 110 m at the South Pole; 265 m over 60 m at 473 nm in the Mediterranean (ANTARES, astro-ph/0412126).
ICE = Medium(SOUTH_POLE_ICE, Cells(), (30, 22), 30 / 110)
WATER = Medium(SEA_WATER, Cells(84, (0.004, 4.0), 40, 64, (1e-4, 4.0)), (30, 22), 265 / 60)
TABLES = {
    "shower_ice": (Shower(), ICE),
    "muon_ice": (Cone(), ICE),
    "shower_water": (Shower(WATER_PHASE_INDEX), WATER),
    "muon_water": (Cone(WATER_PHASE_INDEX), WATER),
}


MOST_DARK = 0.01
"""Share of cells without a photon over which the smooth surfaces of a table may go."""
WILD = 5.0
"""Logarithm of the table's light over that of the photons in a cell that is no statistical fluctuation."""


def photons_of(emission: Emission, medium: Medium, photons: int, seed: int, kept: Path | None) -> Tally:
    if kept and kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            return Tally(medium.cells, file["sums"].astype(float), int(file["photons"]), int(file["scatterings"]))

    def progress(done: int) -> None:
        print(f"\r{done} photons", end="", file=sys.stderr, flush=True)

    found = tally(emission, medium.scattering, medium.cells, photons, seed, progress=progress)
    print(file=sys.stderr)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, sums=found.sums.astype(np.float32), photons=found.photons, scatterings=found.scatterings)
        return photons_of(emission, medium, photons, seed, kept)  # as a later run reads them
    return found


def report(found: Tally, light: np.ndarray, absorption: float) -> None:
    """Statistical errors of the photons, and how far the table is from them: charge and delays by distance."""
    middle = np.sqrt(found.cells.distance_edges[1:] * found.cells.distance_edges[:-1])
    first, last = found.cells.distance
    parts = np.array_split(np.arange(len(middle)), 4)
    halves = [mean_and_error(half[:, 0]) for half in np.split(found.fluence(absorption), 2)]
    pulls = (halves[0][0] - halves[1][0]) / np.maximum(np.hypot(halves[0][1], halves[1][1]), 1e-300)
    print(f"two halves of the photons differ by {np.std(pulls):.2f} of their errors (1.07 expected of 8 groups each)")
    print("| r / lambda_e | absorption | error of photons: median % | charge off: median % | beyond its error: rms % "
          "| delay off: median % | 99 % below % | largest % |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for part in parts:
        for ratio in (0.73, 1.0, 1.47):
            off = difference(light, found, ratio * absorption)
            charge, error, delay = off.charge[part], off.charge_error[part], 100 * off.delay[part]
            beyond = 100 * np.sqrt(max(np.nanmean(charge**2 - error**2), 0))
            print(f"| {first if part[0] == 0 else middle[part[0]]:.3g} to {last if part[-1] + 1 == len(middle) else middle[part[-1]]:.3g} "
                  f"| {ratio * absorption:.2f} | {100 * np.nanmedian(error):.2f} | {100 * np.nanmedian(np.abs(charge)):.2f} | {beyond:.2f} "
                  f"| {np.nanmedian(delay):.2f} | {np.nanquantile(delay, 0.99):.2f} | {np.nanmax(delay):.2f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TABLES))
    parser.add_argument(
        "--photons", type=int, default=2**24, help="per table; rounded up to 16 groups of whole batches"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("."))
    parser.add_argument("--tallies", type=Path, help="folder in which sums of photons are kept and looked for")
    parser.add_argument(
        "--check", action="store_true", help="compare the table of the package with the photons, make none"
    )
    given = parser.parse_args()
    unknown = set(given.names) - set(TABLES)
    if unknown:
        parser.error(f"no table is called {', '.join(sorted(unknown))}; tables: {', '.join(TABLES)}")
    given.output.mkdir(parents=True, exist_ok=True)
    for name in given.names or TABLES:
        emission, medium = TABLES[name]
        kept = given.tallies and given.tallies / f"{name}_{given.photons}_{given.seed}.npz"
        found = photons_of(emission, medium, given.photons, given.seed, kept)
        lit, cells = found.sums[:, 0].sum(axis=(0, -1)) > 0, int(np.prod(found.cells.shape[:2]))
        dark = int(np.sum(~lit))
        if dark > MOST_DARK * cells:
            sys.exit(
                f"{name}: no photon came to {dark} of {cells} cells, where a table would be a guess: give more --photons."
            )
        if given.check:
            print(f"\n{name}: {table_origin(name)}\n")
            report(found, table_in_cells(load_table(name), found), medium.absorption)
            continue
        grid = Grid(medium.cells.distance, *medium.intervals, 1 / emission.phase_index)
        photons = found.photons * len(found.sums)
        command = shlex.join(
            ["python", "experiments/photon_tables.py", name, "--photons", str(given.photons), "--seed", str(given.seed)]
        )
        made = f"{name}: {emission}, {medium.scattering}; {photons} photons, {found.scatterings} scatterings; {command}"
        table = make_table(found, grid, medium.absorption)
        light = table_in_cells(table, found)
        wild = int(np.sum(lit & ~(np.abs(difference(light, found, medium.absorption).charge) <= WILD)))
        if wild:
            sys.exit(
                f"{name}: the surfaces of the table run away from the photons in {wild} of {cells} cells: give more --photons."
            )
        path = given.output / f"light_{name}.npz"
        save_table(path, table, made)
        print(f"\n{path}: {made}; {path.stat().st_size / 1000:.1f} kB\n")
        report(found, light, medium.absorption)


if __name__ == "__main__":
    main()

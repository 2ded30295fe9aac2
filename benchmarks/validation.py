"""Whether the shipped networks are trained enough: `evgen-jax validate` of each, on events that it never saw.

    python benchmarks/validation.py [demo|icecube86-cascade ...] [--events N] [--fits N] [--figures DIR]

Events are drawn here, from the light that each network learned: of the tables for `demo`, photon by photon through layered ice
for `icecube86-cascade`, in the range of energies that it is for. Fits begin at the truth.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from common import machine

import evgen_jax as eg
from evgen_jax.config.validate import load_config
from evgen_jax.report.validate_files import validate_files
from evgen_jax.simulation.simulate import simulate

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "demo": (ROOT / "evgen_jax" / "tables" / "demo.yaml", ()),
    "icecube86-cascade": (
        ROOT / "experiments" / "icecube86_cascade.yaml",
        ("draw=True", "photons=100000", "ranges.energy=[1e3, 5e4]"),
    ),
}
"""Name of a network -> the configuration of its training, and what is another in the simulation of events that are fitted."""
UNSEEN = 20261128
"""Seed of the simulation, which no training has."""


def measure(name: str, count: int, fits: int, figures: Path | None) -> None:
    """Simulates, validates and prints the summary."""
    path, changes = NETWORKS[name]
    settings = (f"num_events={count}", f"events_per_file={min(count, 50)}", f"random_seed={UNSEEN}", *changes)
    with tempfile.TemporaryDirectory() as directory:
        config = load_config(path, [f"simulation_settings.{text}" for text in settings])
        files = simulate(config, Path(directory) / "events")
        sections, page = (config.data_handler_settings, config.reconstruction_settings), Path(directory) / "page"
        _, text = validate_files(eg.load_model(name), name, list(map(str, files)), page, *sections, count, fits)
        print(text.replace(", ".join(map(str, files)), f"a new simulation (seed {UNSEEN})"))
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
            for drawn in sorted((page / "figures").glob("*.png")):
                shutil.copy(drawn, figures / f"{name}_{drawn.name}")
                print(f"![{drawn.stem}]({figures.name}/{name}_{drawn.name})")
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--figures", type=Path)
    given = parser.parse_args()
    if unknown := sorted(set(given.networks) - set(NETWORKS)):
        parser.error(f"{', '.join(unknown)}: no shipped network; known: {', '.join(NETWORKS)}")
    print(machine())
    for name in given.networks:
        measure(name, given.events, given.fits, given.figures)


if __name__ == "__main__":
    main()

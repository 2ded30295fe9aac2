"""Whether the shipped network `demo` is trained enough: `evgen-jax validate` on events that it never saw.

    python benchmarks/validation.py [--events N] [--fits N] [--figures DIR]

Events are drawn here, with light of the tables and noise, as those of the network's training; fits begin at the truth. The other
shipped network learned light photon by photon: events that are drawn from some hundred thousand weighted photons scatter more
than light does, and of a Monte Carlo with many millions an event files are needed (`evgen-jax validate icecube86-cascade FILES`).
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

CONFIGURATION = Path(__file__).parents[1] / "evgen_jax" / "tables" / "demo.yaml"
"""That of the network's training."""
UNSEEN = 20261128
"""Seed of the simulation, which no training has."""


def measure(count: int, fits: int, figures: Path | None) -> None:
    """Simulates, validates and prints the summary."""
    settings = (f"num_events={count}", f"events_per_file={min(count, 50)}", f"random_seed={UNSEEN}")
    with tempfile.TemporaryDirectory() as directory:
        config = load_config(CONFIGURATION, [f"simulation_settings.{text}" for text in settings])
        files = [str(path) for path in simulate(config, Path(directory) / "events")]
        sections, page = (config.data_handler_settings, config.reconstruction_settings), Path(directory) / "page"
        _, text = validate_files(eg.load_model("demo"), "demo", files, page, *sections, count, fits)
        print(text.replace(", ".join(files), f"a new simulation (seed {UNSEEN})"))
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
            for drawn in sorted((page / "figures").glob("*.png")):
                shutil.copy(drawn, figures / f"demo_{drawn.name}")
                print(f"![{drawn.stem}]({figures.name}/demo_{drawn.name})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--figures", type=Path)
    given = parser.parse_args()
    print(machine())
    measure(given.events, given.fits, given.figures)


if __name__ == "__main__":
    main()

"""Frames per second in IceTray beside events per second of `evgen-jax reconstruct`, and memory.

    python benchmarks/icetray.py [--events N] [--batch-frames N] [--array icecube86|small] [--light tables|network|formula] [--stand-in]

Two cascades with noise, three seeds an event (one cascade split at two distances, two cascades at their places), covariances. Light is
that of the tables, of the network 'icecube86-cascade', or of a short formula that costs next to nothing, so that what the layers
around the fit cost is seen. Both ways fit the same events twice; the second time counts, when all programs are compiled. --stand-in measures with the classes that stand in for IceTray in the tests, where it is not installed:
reading and writing of its own objects is not measured then.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from common import machine, print_head, print_row
from simulated_events import READOUT, cascades, small_array

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.model import build_source
from evgen_jax.building.parts import load_part
from evgen_jax.config.records import DataHandlerSettings, ModelSettings, ReconstructionSettings
from evgen_jax.data.writer import write_events
from evgen_jax.hypothesis.parameters import column_names, parameters_of
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.reconstruction.run.program import reconstruct_files
from evgen_jax.reconstruction.starts.two_cascades import find_two_cascades, split_cascade
from evgen_jax.simulation.events import EventSampler

DISTANCES = (10.0, 50.0)
"""Distances at which a seed of one cascade is split, m."""


def two_cascades(cascade: ModelSettings, noise: ModelSettings) -> ModelSettings:
    return ModelSettings(
        model_class="IndependentMultiSource",
        config={"sources": {"event": "event", "noise": "noise"}},
        multi_source_bases={
            "event": ModelSettings(
                model_class="StartingVariableMultiCascadeModel",
                config={"num_cascades": 2},
                multi_source_bases={"cascade": cascade},
            ),
            "noise": noise,
        },
    )


def load(light: str, array: str) -> eg.Model:
    if light == "formula":
        import toy_cascade  # of the tests

        return toy_cascade.toy_model(small_array() if array == "small" else eg.load_detector(array))
    if light == "tables":
        settings = two_cascades(
            ModelSettings(model_class="AnalyticCascadeModel"), ModelSettings(model_class="AnalyticNoiseModel")
        )
        return analytic_model(small_array() if array == "small" else eg.load_detector(array), settings)
    settings = two_cascades(
        ModelSettings(load_dir="icecube86-cascade/cascade"), ModelSettings(load_dir="icecube86-cascade/noise")
    )
    names, _ = build_source(settings, None, load_part)
    trafo = typical_trafo(parameters_of(names))
    source, variables = build_source(settings, trafo, load_part)
    whole = eg.load_model("icecube86-cascade")
    return eg.Model(source, variables, trafo, whole.detector, whole.loss)


def hypotheses(model: eg.Model, count: int) -> np.ndarray:
    """Truth [E, 9]: 5 to 50 TeV, a quarter to three quarters of it in the second cascade, 10 to 100 m apart."""
    rng = np.random.default_rng(5)
    first = cascades(rng, count, (5e3, 5e4), model.detector)
    share, distance = rng.uniform(0.25, 0.75, count), rng.uniform(10, 100, count)
    return np.column_stack([first[:, :5], (1 - share) * first[:, 5], first[:, 6], share * first[:, 5], distance])


def memory() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=64)
    parser.add_argument("--batch-frames", type=int, default=64)
    parser.add_argument("--array", default="icecube86")
    parser.add_argument("--light", choices=["tables", "network", "formula"], default="tables")
    parser.add_argument("--stand-in", action="store_true")
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import tray as world  # of the tests: frames and trays, of IceTray where it is installed

    from evgen_jax.icetray import ApplyEventGeneratorReconstruction

    if not (world.REAL or given.stand_in):
        raise SystemExit("IceTray cannot be imported here; --stand-in measures with the classes that stand in for it.")
    model = load(given.light, given.array)
    truth = hypotheses(model, given.events)
    rng = np.random.default_rng(6)
    seeds = truth + rng.normal(size=truth.shape) * [10, 10, 10, 0.2, 0.2, 0, 30, 0, 10]
    drawn = EventSampler(model, READOUT)(truth, jax.random.key(1), True, rng)
    string, om = (np.asarray(getattr(model.detector, name))[drawn["dom"]] for name in ("string", "om"))
    pulses = {**drawn, "string": string, "om": om, "charge": world.float32(drawn["charge"])}
    two, names = find_two_cascades(model.parameters), column_names(model.parameters)
    one = seeds.copy()
    one[:, 5] += one[:, 7]
    one[:, 7:] = np.nan
    split = np.array([split_cascade(two, own, (0.5,), DISTANCES) for own in one])
    count = np.bincount(pulses["event"], minlength=given.events)
    print(
        f"{machine()}\n\n{given.events} events of {np.median(count):.0f} pulses (median), {count.max()} at most; ",
        end="",
    )
    print(f"IceTray: {'itself' if world.REAL else 'classes that stand in for it'}\n")
    print_head("way, second time", "seconds", "events/s", "events per CPU second", "memory, MB")
    with tempfile.TemporaryDirectory() as folder:
        directory = str(eg.save_model(model, Path(folder) / "model"))
        file = Path(folder) / "events.hdf5"
        tables = {"Ids": {"number": np.arange(given.events)}}
        for name, values in (("A", split[:, 0]), ("B", split[:, 1]), ("Two", seeds)):
            tables[name] = dict(zip(names, values.T, strict=True))
        write_events(file, 1, given.events, pulses, tables, pulse_key="Pulses")
        handler = DataHandlerSettings.model_validate(
            {"data_settings": {"pulse_key": "Pulses", "event_id_key": "Ids"}, "label_settings": {}}
        )
        settings = ReconstructionSettings(seed=("A", "B", "Two"))

        def command(turn: int) -> None:
            print(reconstruct_files(model, [str(file)], Path(folder) / f"fits{turn}.hdf5", handler, settings))

        def tray(turn: int) -> None:
            given_frames = [frame(e) for e in range(given.events)]
            parameters = {
                "model_names": directory,
                "seed_keys": ["Mono", "Two"],
                "seed_distances": DISTANCES,
                "pulse_key": world.PULSES,
                "dom_and_tw_exclusions": [],
                "exclude_bright_doms": False,
                "readout_window_key": "",
                "add_covariances": True,
                "batch_frames": given.batch_frames,
                "output_key": "Fit",
            }
            seen = world.run(given_frames, (ApplyEventGeneratorReconstruction, "apply", parameters))
            status = [int(own["Fit"]["fit_status"]) for own in seen]
            print({value: status.count(value) for value in sorted(set(status))})

        def frame(e: int):
            own = pulses["event"] == e
            return world.frame(
                "P",
                I3EventHeader=world.header(1, e),
                Mono=world.particle(one[e]),
                Two=world.numbers(**dict(zip(names, seeds[e], strict=True))),
                **{world.PULSES: world.pulse_map(*(pulses[c][own] for c in ("string", "om", "time", "charge")))},
            )

        for name, way in (("evgen-jax reconstruct", command), ("segment in a tray", tray)):
            way(1)
            begin, cpu = time.perf_counter(), time.process_time()
            way(2)
            wall, spent = time.perf_counter() - begin, time.process_time() - cpu
            print_row(
                name, f"{wall:.1f}", f"{given.events / wall:.2f}", f"{given.events / spent:.2f}", f"{memory():.0f}"
            )


if __name__ == "__main__":
    main()

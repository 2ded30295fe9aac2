"""Frames per second in IceTray beside events per second of `evgen-jax reconstruct`, and memory.

    python benchmarks/icetray.py [--events N] [--batch-frames N] [--array icecube86|small] [--light tables|network|formula]
        [--cascades 1|2] [--stand-in]

One cascade or two with noise, three seeds an event (of two cascades: one cascade split at two distances, two cascades at their
places), covariances. Light is that of the tables, of the network 'icecube86-cascade', or of a short formula that costs next to nothing,
so that what the layers around the fit cost is seen. Both ways fit the same events twice; the second time counts, when all programs are
compiled. With IceTray the tray reads frames from an I3 file and writes them to another one. --stand-in measures with the classes that
stand in for IceTray in the tests, where it is not installed: reading and writing of its own objects is not measured then.
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
from evgen_jax.data.i3_file import frames_of
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


def one_cascade(cascade: ModelSettings, noise: ModelSettings) -> ModelSettings:
    return ModelSettings(
        model_class="IndependentMultiSource",
        config={"sources": {"cascade": "cascade", "noise": "noise"}},
        multi_source_bases={"cascade": cascade, "noise": noise},
    )


def load(light: str, array: str, count: int) -> eg.Model:
    detector = small_array() if array == "small" else eg.load_detector(array)
    noise, both = ModelSettings(model_class="AnalyticNoiseModel"), two_cascades if count == 2 else one_cascade
    if light == "formula":
        import toy_cascade  # of the tests

        return analytic_model(detector, toy_cascade.TWO if count == 2 else toy_cascade.ONE)
    if light == "tables":
        return analytic_model(detector, both(ModelSettings(model_class="AnalyticCascadeModel"), noise))
    if count == 1:
        return eg.load_model("icecube86-cascade")
    settings = two_cascades(
        ModelSettings(load_dir="icecube86-cascade/cascade"), ModelSettings(load_dir="icecube86-cascade/noise")
    )
    names, _ = build_source(settings, None, load_part)
    trafo = typical_trafo(parameters_of(names))
    source, variables = build_source(settings, trafo, load_part)
    whole = eg.load_model("icecube86-cascade")
    return eg.Model(source, variables, trafo, whole.detector, whole.loss)


def hypotheses(model: eg.Model, count: int) -> np.ndarray:
    """Truth [E, H]: 5 to 50 TeV; of two cascades a quarter to three quarters of it in the second, 10 to 100 m apart."""
    rng = np.random.default_rng(5)
    first = cascades(rng, count, (5e3, 5e4), model.detector)
    if len(model.parameters) == 7:
        return first[:, :7]
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
    parser.add_argument("--cascades", type=int, choices=[1, 2], default=2)
    parser.add_argument("--stand-in", action="store_true")
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import tray as world  # of the tests: frames and trays, of IceTray where it is installed

    from evgen_jax.icetray import ApplyEventGeneratorReconstruction

    if not (world.REAL or given.stand_in):
        raise SystemExit("IceTray cannot be imported here; --stand-in measures with the classes that stand in for it.")
    model = load(given.light, given.array, given.cascades)
    truth, names = hypotheses(model, given.events), column_names(model.parameters)
    rng = np.random.default_rng(6)
    spread = np.array([10, 10, 10, 0.2, 0.2, 0, 30, 0, 10])[: truth.shape[1]]
    drawn = EventSampler(model, READOUT)(truth, jax.random.key(1), True, rng)
    string, om = (np.asarray(getattr(model.detector, name))[drawn["dom"]] for name in ("string", "om"))
    pulses = {**drawn, "string": string, "om": om, "charge": world.float32(drawn["charge"])}
    # Seeds of the tables [3, E, H]; of frames: particles, and named numbers where there are two cascades.
    if given.cascades == 1:
        seeds = truth + rng.normal(size=(3, *truth.shape)) * spread
        particles, named = {"A": seeds[0], "B": seeds[1], "C": seeds[2]}, {}
    else:
        whole = truth + rng.normal(size=truth.shape) * spread
        one, two = whole.copy(), find_two_cascades(model.parameters)
        one[:, 5] += one[:, 7]
        one[:, 7:] = np.nan
        split = np.array([split_cascade(two, own, (0.5,), DISTANCES) for own in one])
        seeds = np.stack([split[:, 0], split[:, 1], whole])
        particles, named = {"Mono": one}, {"Two": whole}
    count = np.bincount(pulses["event"], minlength=given.events)
    print(
        f"{machine()}\n\n{given.events} events of {np.median(count):.0f} pulses (median), {count.max()} at most; ",
        end="",
    )
    print(f"IceTray: {'itself' if world.REAL else 'classes that stand in for it'}\n")
    print_head("way, second time", "seconds", "events/s", "CPU seconds", "events per CPU second", "memory, MB")
    with tempfile.TemporaryDirectory() as folder:
        directory = str(eg.save_model(model, Path(folder) / "model"))
        file = Path(folder) / "events.hdf5"
        tables = {"Ids": {"number": np.arange(given.events)}}
        for name, values in zip(("A", "B", "C"), seeds, strict=True):
            tables[name] = dict(zip(names, values.T, strict=True))
        written = {name: pulses[name] for name in ("event", "string", "om", "time", "charge")}
        write_events(file, 1, given.events, written, tables, pulse_key="Pulses")
        handler = DataHandlerSettings.model_validate(
            {"data_settings": {"pulse_key": "Pulses", "event_id_key": "Ids"}, "label_settings": {}}
        )
        settings = ReconstructionSettings(seed=("A", "B", "C"))

        def command(turn: int) -> None:
            print(reconstruct_files(model, [str(file)], Path(folder) / f"fits{turn}.hdf5", handler, settings))

        def tray(turn: int) -> None:
            parameters = {
                "model_names": directory,
                "seed_keys": [*particles, *named],
                "seed_distances": DISTANCES if given.cascades == 2 else (),
                "pulse_key": world.PULSES,
                "dom_and_tw_exclusions": [],
                "exclude_bright_doms": False,
                "readout_window_key": "",
                "add_covariances": True,
                "batch_frames": given.batch_frames,
                "output_key": "Fit",
            }
            steps = [(ApplyEventGeneratorReconstruction, "apply", parameters)]
            if world.REAL:
                steps.append(("I3Writer", "write", {"filename": str(Path(folder) / f"fits{turn}.i3.zst")}))
            given_frames = (lambda: frames_of(Path(folder) / "events.i3.zst")) if world.REAL else frames[turn - 1]
            seen = world.run(given_frames, *steps)
            status = [int(own["Fit"]["fit_status"]) for own in seen]
            print({value: status.count(value) for value in sorted(set(status))})

        def frame(e: int):
            own = pulses["event"] == e
            return world.frame(
                "P",
                I3EventHeader=world.header(1, e),
                **{key: world.particle(values[e]) for key, values in particles.items()},
                **{key: world.numbers(**dict(zip(names, values[e], strict=True))) for key, values in named.items()},
                **{world.PULSES: world.pulse_map(*(pulses[c][own] for c in ("string", "om", "time", "charge")))},
            )

        frames = [[frame(e) for e in range(given.events)] for _ in range(1 if world.REAL else 2)]
        if world.REAL:
            world.write_i3(Path(folder) / "events.i3.zst", frames.pop())
        for name, way in (("evgen-jax reconstruct", command), ("segment in a tray", tray)):
            way(1)
            begin, cpu = time.perf_counter(), time.process_time()
            way(2)
            wall, spent = time.perf_counter() - begin, time.process_time() - cpu
            rates = (f"{given.events / wall:.2f}", f"{spent:.1f}", f"{given.events / spent:.2f}")
            print_row(name, f"{wall:.1f}", *rates, f"{memory():.0f}")


if __name__ == "__main__":
    main()

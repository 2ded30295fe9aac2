"""Every program of experiments/ and benchmarks/ runs with the smallest sizes, in this process, and prints numbers that can be true."""

import contextlib
import io
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from conftest import write_config

import evgen_jax as eg
from evgen_jax.config.validate import load_config
from evgen_jax.training.metrics import read_metrics

ROOT = Path(__file__).parent.parent
SHARED = {"benchmarks/common.py", "benchmarks/simulated_events.py", "experiments/chosen_modules.py"}
"""No programs: the others import them."""
Runner = Callable[..., str]


@pytest.fixture
def script(monkeypatch) -> Runner:
    """Runs a program of one folder with arguments; returns what it prints."""

    def run(path: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        monkeypatch.syspath_prepend(str((ROOT / path).parent))
        wide, loaded, out = jax.config.jax_enable_x64, set(sys.modules), io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                runpy.run_path(str(ROOT / path), run_name="__main__")
        except SystemExit as stop:
            assert not stop.code, f"{path} ends with {stop.code}"
        finally:
            jax.config.update("jax_enable_x64", wide)  # numpyro sets it for the process
            for name in set(sys.modules) - loaded:
                file = getattr(sys.modules[name], "__file__", None)
                if file and Path(file).parent == (ROOT / path).parent:
                    del sys.modules[name]
        return out.getvalue()

    return run


def table(text: str) -> list[list[str]]:
    """Cells of the rows of all tables, without heads (above a rule) and rules."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    rules = {i for i, row in enumerate(rows) if set("".join(row)) == {"-"}}
    return [row for i, row in enumerate(rows) if not {i, i + 1} & rules]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[+-]?\d+)?(?!\w)", text)]


def check_small_network(run: Runner, directory: Path) -> None:
    """Its model is what the studies of fits take; minima of two kinds are found with it."""
    run("benchmarks/small_network.py", directory, "--steps", 3, "--events", 32)
    assert eg.load_model(directory / "model_3").detector.num_doms == 240
    lines = table(run("benchmarks/minima_from_seeds.py", directory / "model_3", "--events", 2, "--energies", 1e3, 2e3))
    assert [row[:3] for row in lines] == [
        [seed, gtol, "2"] for seed in ("15 m, 12 deg", "30 m, 30 deg") for gtol in ("10", "1e-05")
    ]
    for row in lines:
        below, above = numbers(row[3]), numbers(row[4])
        assert 0 <= below[0] + above[0] <= 2 and below[1] >= 0 and below[2] >= 0 and above[1] >= 0
        assert all(cost >= 1 for cost in numbers(" ".join(row[5:7])))
    angle = directory / "angle"
    program = runpy.run_path(str(ROOT / "benchmarks" / "small_network.py"))
    angle.mkdir()
    config = load_config(program["configuration"](angle, 3, True, "gaussian", 32))
    cascade = config.model_settings.multi_source_bases["cascade"]
    assert cascade.config["num_filters_list"] == [50, 100, 100, 100, 100, 42]


def check_likelihood_gaps(run: Runner, directory: Path) -> None:
    (row,) = table(run("experiments/likelihood_gaps.py", directory, "cascade_mixture", "--steps", 2, "--events", 8))
    assert row[:3] == ["cascade_mixture", "7", "2"]
    first, last, gap, pulses, seconds = map(float, row[3:])
    # Two steps of training leave the model far below the truth; cascades of 1 to 30 TeV give some hundred pulses.
    assert first > 0 and last > 0 and gap > 10 and 20 < pulses < 1e5 and seconds > 0


def check_resolution(run: Runner, directory: Path) -> None:
    figure = directory / "resolution.png"
    given = ("--array", "small", "--events", 6, "--energies", 2e3, 1e4, "--figure", figure)
    rows = table(run("benchmarks/resolution.py", *given))
    bounds, errors = rows[:2], rows[2:]
    assert [row[0] for row in rows] == ["2", "10", *["2"] * 3, *["10"] * 3] and figure.stat().st_size > 1e4
    low, high = (float(row[2]) for row in bounds)
    assert all(row[1] == "6" for row in bounds) and 1.5 < low / high < 4, "five times the light"
    for row in errors:
        near, near_ratio, far, far_ratio, least = map(float, row[2:7])
        assert (near_ratio, far_ratio) == pytest.approx((near / least, far / least), rel=0.05, abs=0.006)
        # Medians of six events: near the bound, not equal to it.
        assert 0.1 < far_ratio < 10 and 0 <= numbers(row[7])[0] <= 100
        if row[1] == "vertex (m)":
            assert 0.01 < least < 50, "the vertex of TeV cascades in a dense array is known to metres"


def check_calibration(run: Runner, directory: Path) -> None:
    hessian, sandwich, contours = table(run("benchmarks/calibration.py", "true", "pulls", "contours", "--events", 8))
    assert [row[0] for row in (hessian, sandwich)] == ["Hessian", "sandwich"]
    for row in (hessian, sandwich):
        widths = np.array([numbers(cell) for cell in row[1:8]])
        assert widths.shape == (7, 2) and np.all((widths > 0.02) & (widths < 20))
    assert int(hessian[8]) + int(hessian[9]) == int(contours[1]) <= 8
    assert 0 < float(hessian[10]) < 30, "fits from the truth are above it, by chance alone"
    half, most = (numbers(cell)[0] for cell in contours[2:])
    assert 0 <= half <= most <= 100 and most >= 50


def check_calibration_with_samples(run: Runner, directory: Path) -> None:
    rows = table(run("benchmarks/calibration.py", "true", "maps", "ranks", "--events", 2))
    maps, (summary, *ranks) = rows[:2], rows[2:]
    assert [row[0] for row in maps] == ["maps, Wilks' theorem", "maps, posterior"]
    assert all(0 <= numbers(half)[0] <= numbers(most)[0] <= 100 for *_, half, most in maps)
    assert [row[0] for row in ranks] == ["x", "y", "z", "zenith", "azimuth", "ln E", "time"] and summary[0] == "2"
    lit = int(summary[1])
    assert all(sum(map(int, row[2].split())) == lit for row in ranks), "every truth has one rank"


def check_reconstruction(run: Runner, directory: Path) -> None:
    arguments = ("--array", "small", "--events", 3, "--starts", 2, "--energies", 1e3, 3e3)
    drawn, merged, row, *missed = table(run("benchmarks/reconstruction.py", "true", "minimum", *arguments))
    assert all(int(after) <= int(before) for before, after in zip(drawn[1:], merged[1:], strict=True))
    shares = [numbers(cell)[0] for cell in row[1:5]]
    assert row[0] == "3" and all(0 <= share <= 100 for share in shares) and max(shares) > 0
    assert shares[1] >= shares[0], "other directions only add"
    assert len(missed) == 4 and all(value >= 0 for line in missed for value in numbers(line[1]))


def check_reconstruction_speed_and_sky(run: Runner, directory: Path) -> None:
    out = run("benchmarks/reconstruction.py", "true", "speed", "sky", "--array", "small", "--energies", 1e3, 2e3)
    fits, sky, *pixels = table(out)
    assert 1 <= int(fits[0]) <= 64 and int(fits[1]) >= 8 and float(fits[2]) > 0 and int(fits[4]) <= int(fits[5])
    wilks, posterior = map(float, sky[6:])
    assert (
        0 < wilks < 41253
        and 0 < posterior < 41253
        and [row[0] for row in pixels] == ["of the map", "SciPy, one by one"]
    )
    # Of 12 pixels anywhere on the sky some may be in another minimum.
    assert -0.1 < float(re.search(r"The map is at most (-?[\d.]+) below", out)[1]) < 1000


def check_fits_on_device(run: Runner, directory: Path) -> None:
    arguments = ("--array", "small", "--events", 2, "--repeats", 1, "--energies", 1e3, 2e3)
    (row,) = table(run("benchmarks/fits_on_device.py", "true", *arguments))
    assert 1 <= int(row[0]) <= 2 and int(row[1]) >= 8 and row[2] == "without"
    best, middle, _, programs, evaluations, median, most = map(float, row[3:10])
    assert 0 < best <= middle and programs >= 1 and 1 <= median <= most <= evaluations <= int(row[0]) * most


def check_accelerator(run: Runner, directory: Path) -> None:
    (row,) = table(run("benchmarks/accelerator.py", "tiny", "--events", 2))
    mean, *errors = map(float, row[2:])
    value_errors, slope_errors = np.array(errors).reshape(2, 3)
    assert row[:2] == ["tiny", "2"] and mean < 0
    assert np.all(value_errors[:2] < 1e-4 * abs(mean)) and np.all(slope_errors[:2] < 1e-2)
    if jax.default_backend() == "cpu":
        assert value_errors[2] == slope_errors[2] == 0, "float64 beside itself"
        assert value_errors[0] == value_errors[1] > 0


def check_many_cascades(run: Runner, directory: Path) -> None:
    figure = directory / "cascades.png"
    one, two = table(run("benchmarks/many_cascades.py", "default", "--numbers", 1, 2, "--figure", figure))
    assert [row[:2] for row in (one, two)] == [["default", "1"], ["default", "2"]] and figure.stat().st_size > 1e4
    for count, row in ((1, one), (2, two)):
        seconds, each, floor, compiled, memory = map(float, row[2:])
        assert each == pytest.approx(1e3 * seconds / count, rel=0.02)
        assert min(floor, compiled, memory) > 0 and memory < 1
    assert float(two[4]) == pytest.approx(2 * float(one[4]), rel=0.9), "the floor is twice as many operations"


def check_unfolding(run: Runner, directory: Path) -> None:
    (row,) = table(run("benchmarks/unfolding.py", "--events", 1, "--segments", 100))
    energy, ratio, share, off, pulses, seconds = map(float, row)
    # One loss dominates this event.
    assert 0 < energy < 1e6 and 0.5 < ratio < 1.5 and 0 < share <= 1 and abs(off) <= 3 and pulses > 10


def check_photon_transport(run: Runner, directory: Path) -> None:
    rows = table(run("benchmarks/photon_transport.py", "--lanes", 64, "--repeats", 1))
    assert [row[0] for row in rows] == ["floor: four random numbers", "scatterings in ice", "scatterings in sea water"]
    for _, millions, nanoseconds in rows:
        assert float(millions) > 0 and float(millions) * float(nanoseconds) == pytest.approx(1000, rel=0.02)


def check_photons_in_layers(run: Runner, directory: Path) -> None:
    """Few photons say little: totals of two showers are within the chance of a few modules."""
    figure = directory / "layers.png"
    arguments = ("--photons", 30_000, "--cascades", 2, "--events", 1, "--per-event", 3000, "--output", figure)
    out = run("benchmarks/photons_in_layers.py", *arguments)
    rows = table(out)
    costs, showers, logarithms = rows[:3], rows[3:5], rows[5:]
    assert float(re.search(r"([\d.e+]+) million scatterings per second", out)[1]) > 0
    assert [row[:2] for row in costs] == [["1", "3000"], ["10", "3000"], ["50", "3000"]]
    assert all(float(row[2]) > 0 for row in costs) and float(costs[2][3]) > 20 * float(costs[0][3]) > 0
    assert logarithms[0][0] == "all" and int(logarithms[0][2]) == sum(int(row[3]) for row in showers)
    assert figure.stat().st_size > 1e4
    for _, _, length, modules, total, scatter, delay in (map(float, row) for row in showers):
        assert 5 < length < 100 and modules > 10 and 0.6 < total < 1.6 and 0 <= scatter < 0.6 and 0 <= delay < 0.3


def check_training_step(run: Runner, directory: Path) -> None:
    (row,) = table(run("benchmarks/training_step.py", "--one", "tiny"))
    step, first, _, floor, ratio = (numbers(cell)[0] for cell in row[1:])
    assert row[0] == "tiny" and first > step > 0 and ratio == pytest.approx(step / floor, rel=0.1)
    peak, before = numbers(row[3])
    assert peak >= before > 0


def check_likelihood(run: Runner, directory: Path) -> None:
    single, many = table(run("benchmarks/likelihood.py", "--one", "tiny"))
    assert [single[:2], many[:2]] == [["tiny", "1"], ["tiny", "32"]]
    for row in (single, many):
        milliseconds, first, peak, floor, ratio = map(float, row[2:])
        assert min(milliseconds, first, peak, floor) > 0 and ratio == pytest.approx(milliseconds / floor, rel=0.1)


def check_compiler_options(run: Runner, directory: Path) -> None:
    rows = table(run("benchmarks/compiler_options.py", "true", "--events", 2, "--turns", 1))
    assert [row[0] for row in rows] == ["true"]
    plain, chosen, ratio, away = map(float, rows[0][2:])
    assert min(plain, chosen) > 0 and ratio == pytest.approx(chosen / plain, rel=0.1) and away < 1e-3


def check_networks_of_common(run: Runner, directory: Path) -> None:
    """All three networks can be built; of a few modules, since weights of single modules take time to draw."""
    modules = eg.load_detector().modules(np.arange(4))
    common = runpy.run_path(str(ROOT / "benchmarks" / "common.py"))
    for name, (widths, *_) in common["NETWORKS"].items():
        model = common["build_network"](name, modules)
        assert model.parameter_names[-1].endswith("time") and widths[-1] in {
            leaf.shape[-1] for leaf in jax.tree.leaves(model.variables) if leaf.ndim
        }


def check_benchmarks_with_processes(run: Runner, directory: Path) -> None:
    """Both start one process per network, whose rows go to the same output, not through this one."""
    for path in ("benchmarks/training_step.py", "benchmarks/likelihood.py"):
        assert table(run(path, "tiny")) == []


def check_steps_of_cascades(run: Runner, directory: Path) -> None:
    one, two = table(run("benchmarks/training_step_of_cascades.py", "--numbers", 2, "--repeats", 1))
    assert [one[:2], two[:2]] == [["tiny", "1"], ["tiny", "2"]] and float(one[3]) == float(one[4]) == 1
    assert float(two[6]) > float(one[6]) > 0, "two cascades take more memory"


def check_training_loop(run: Runner, directory: Path) -> None:
    rows = table(run("benchmarks/training_loop.py", "--steps", 160))
    assert [row[:2] for row in rows] == [
        [device, every] for device in ("this one", "sleeps 2 ms") for every in ("50", "1")
    ]
    own, _, asleep, asleep_each = (float(row[2]) for row in rows)
    assert own > 0 and 0 < asleep < 500 and 0 < asleep_each < 500, (
        "a device that sleeps 2 ms takes 500 steps per second at most"
    )


def check_reader(run: Runner, directory: Path) -> None:
    rows = table(run("benchmarks/reader.py", "--events", 40, "--files", 2, "--steps", 2))
    reading, waiting = [row for row in rows if len(row) == 6], [row for row in rows if len(row) == 5]
    assert len(reading) == 4 * 4 and {row[2] for row in reading} == {"80"}
    assert all(float(row[3]) > 0 and float(row[4]) > 0 for row in reading)
    sizes = [float(row[5]) for row in reading if row[1].startswith("converted")]
    assert sizes[0] < sizes[-1]  # pulses take most of the room
    assert len(waiting) == 5 and all(0 <= numbers(row[4])[0] <= 100 for row in waiting)


def check_icetray(run: Runner, directory: Path) -> None:
    rows = table(run("benchmarks/icetray.py", "--stand-in", "--array", "small", "--events", 8, "--light", "formula"))
    assert [row[0] for row in rows] == ["evgen-jax reconstruct", "segment in a tray"]
    assert all(float(numbers(cell)[0]) > 0 for row in rows for cell in row[1:])


def check_import_parity(run: Runner, directory: Path) -> None:
    """Needs the exports with the answers of the program that made them, which lie beside the project where they do."""
    if not (ROOT.parent / "shared" / "reference" / "tensorflow_export").is_dir():
        pytest.skip("needs exports of Event-Generator with its answers")
    rows = table(run("benchmarks/import_parity.py"))
    light = [row for row in rows if row[2] in ("", "--densities-per-microsecond")]
    losses = [row for row in rows if row not in light]
    assert len(light) == 6 and len(losses) == 24
    for name, _, given, *differences in light:
        charge, variance, density, cumulative = map(float, differences)
        assert charge < 2e-5 and cumulative < 2e-5
        if name == "tiny" or given:  # beside noise in another unit they are right here and wrong there
            assert density < 2e-5
        assert variance < (2e-5 if name == "tiny" else 1e-3)  # that between components is missing there
    for *_, theirs, ours, difference, _ in losses:
        assert abs(float(difference)) < 2e-5 and float(ours) == pytest.approx(float(theirs), rel=2e-5)


def check_single_script(run: Runner, directory: Path) -> None:
    out = run("experiments/single_script_cascade.py", 3, 16, directory / "model")
    assert "step 2: loss per event" in out and out.count("vertex off by") == 2
    before, after = re.findall(r"-?\d+\.\d+(?= and| *$)", out.splitlines()[-1])
    assert before == after and eg.load_model(directory / "model").parameter_names[0] == "cascade_x"
    assert len((ROOT / "experiments" / "single_script_cascade.py").read_text().splitlines()) < 80


def check_other_libraries(run: Runner, directory: Path) -> None:
    for package in ("optimistix", "blackjax", "numpyro"):
        pytest.importorskip(package)
    found = dict(line.split(": ", 1) for line in run("experiments/other_minimisers_and_samplers.py", 50).splitlines())
    assert len({found[name] for name in ("SciPy", "jax.scipy.optimize", "optimistix")}) == 1, found
    fitted = float(re.search(r"x (-?[\d.]+) m", found["SciPy"])[1])
    for name in ("blackjax", "numpyro"):
        mean, width = map(float, re.fullmatch(r"x (-?[\d.]+) \+- ([\d.]+) m", found[name]).groups())
        assert 0.1 < width < 20 and abs(mean - fitted) < 5 * width


def check_photon_tables(run: Runner, directory: Path) -> None:
    """The water tables need the fewest scatterings; two runs of one seed use the photons that the first one kept."""
    with pytest.raises(
        AssertionError, match="no photon came to .* of .* cells, where a table would be a guess: give more --photons"
    ):
        run("experiments/photon_tables.py", "muon_water", "--photons", 50_000, "--seed", 4, "-o", directory)
    assert not (directory / "light_muon_water.npz").exists()
    arguments = ("muon_water", "--check", "--photons", 2**22, "--seed", 4, "--tallies", directory / "photons")
    out, again = (run("experiments/photon_tables.py", *arguments) for _ in range(2))
    assert out == again and "muon_water: Cone(phase_index=1.35)" in out
    assert "python experiments/photon_tables.py muon_water --photons 67108864 --seed 1" in out
    for row in table(out):  # other photons than those of the table: off by their errors, no more
        error, charge, beyond, median, most, largest = map(float, row[2:])
        assert (
            0 < error < 100 and charge < error and beyond < max(10, 2 * error) and 0 < median <= most <= largest <= 100
        )


def check_validation(run: Runner, directory: Path) -> None:
    out = run("benchmarks/validation.py", "--events", 3, "--fits", 0, "--figures", directory / "figures")
    assert "3 events of a new simulation" in out and "0 events fitted" in out
    for figure in re.findall(r"\]\((.+png)\)", out):
        assert (directory / figure).stat().st_size > 5000
    total = next(line for line in out.splitlines() if line.startswith("| charge of all modules"))
    assert 0.5 < numbers(total)[0] < 2 and "charges.png" in out


def check_shipped_networks(run: Runner, directory: Path) -> None:
    few = ["num_events=30", "events_per_file=1", "ranges.energy=[1e3, 2e3]"]
    settings = [*(f"simulation_settings.{text}" for text in few), "training_settings.num_training_iterations=2"]
    given = [part for text in settings for part in ("--set", text)]
    assert "wrote" in run("experiments/shipped_networks.py", "demo", "-o", directory, *given)
    assert set(eg.load_model(directory / "network").settings) == {
        "unique_name",
        "model_settings",
        "loss_module_settings",
    }
    # Its events serve to compare networks.
    given = [part for text in settings[:3] for part in ("--set", text)]
    config, variants = directory / "config.yaml", ("as it is:batch=1", "plain:inputs=[invariant];batch=1")
    files = "data_iterator_settings.test.input_data=" + str(directory / "events" / "demo_000007.hdf5")
    out = run(
        "experiments/what_networks_learn.py", config, *variants, "--seconds", 1, "--test", 1, "--set", files, *given
    )
    for name in ("as it is", "plain"):
        lines = [line for line in out.splitlines() if line.startswith(f"{name}: ")]
        assert len(lines) >= 2 and "ms per step of 1 events" in lines[-1]
        gap, *terms = numbers(lines[0].split("gap")[1].split(")")[0])
        assert gap == pytest.approx(sum(terms), abs=0.2)


def check_photon_statistics(run: Runner, directory: Path) -> None:
    few = ("num_events=20", "events_per_file=1", "photons=400", "ranges.energy=[5e3, 6e3]")
    settings = [f"simulation_settings.{text}" for text in few]
    config = directory / "config.yaml"
    config.write_text(
        (ROOT / "experiments" / "icecube86_cascade.yaml").read_text().replace("{directory}", str(directory))
    )
    loaded = load_config(config, settings)
    eg.simulate(loaded, directory / "events")
    eg.training.create_trafo(loaded)
    accepted = np.full((1, 5160), 1e-6)
    np.savez(directory / "reference.npz", hypothesis=[[0.0, 0.0, -100.0, 1.0, 2.0]], accepted=accepted)
    given = [part for text in settings for part in ("--set", text)]
    arguments = ("--photons", 400, 100, "--seconds", 1, *given)
    out = run("experiments/photon_statistics.py", config, directory / "reference.npz", *arguments)
    lines = [line for line in out.splitlines() if "of Poisson's" in line]
    for photons in (400, 100):
        for kind in ("expected", "drawn"):
            for name in ("Poisson", "negative binomial"):
                own = [line for line in lines if line.startswith(f"{photons} photons, {kind}, {name}: ")]
                variance = numbers(own[-1].split("variance")[1])[0]
                assert variance == 1.0 if name == "Poisson" else variance >= 1.0


ENTRIES = {
    "benchmarks/accelerator.py": check_accelerator,
    "benchmarks/calibration.py": check_calibration,
    "benchmarks/compiler_options.py": check_compiler_options,
    "benchmarks/fits_on_device.py": check_fits_on_device,
    "benchmarks/import_parity.py": check_import_parity,
    "benchmarks/icetray.py": check_icetray,
    "benchmarks/likelihood.py": check_likelihood,
    "benchmarks/many_cascades.py": check_many_cascades,
    "benchmarks/minima_from_seeds.py": check_small_network,
    "benchmarks/night.py": None,  # test_night.py
    "benchmarks/photon_transport.py": check_photon_transport,
    "benchmarks/photons_in_layers.py": check_photons_in_layers,
    "benchmarks/reader.py": check_reader,
    "benchmarks/reconstruction.py": check_reconstruction,
    "benchmarks/resolution.py": check_resolution,
    "benchmarks/small_network.py": check_small_network,
    "benchmarks/training_loop.py": check_training_loop,
    "benchmarks/training_step.py": check_training_step,
    "benchmarks/training_step_of_cascades.py": check_steps_of_cascades,
    "benchmarks/unfolding.py": check_unfolding,
    "benchmarks/validation.py": check_validation,
    "experiments/photon_tables.py": check_photon_tables,
    "experiments/create_trafo_model.py": None,  # these four: test_steps_of_an_experiment
    "experiments/export_manager.py": None,
    "experiments/likelihood_gaps.py": check_likelihood_gaps,
    "experiments/other_minimisers_and_samplers.py": check_other_libraries,
    "experiments/reconstruct_test_data.py": None,
    "experiments/photon_statistics.py": check_photon_statistics,
    "experiments/run_exported_likelihood.py": None,  # test_exported_program.py
    "experiments/shipped_networks.py": check_shipped_networks,
    "experiments/skymap_scanner_plugin.py": None,  # test_skymap_scanner.py
    "experiments/what_networks_learn.py": check_shipped_networks,
    "experiments/single_script_cascade.py": check_single_script,
    "experiments/train_model.py": None,
}
LONG = {
    check_calibration,
    check_calibration_with_samples,
    check_likelihood_gaps,
    check_small_network,
    check_reconstruction,
    check_reconstruction_speed_and_sky,
    check_resolution,
    check_other_libraries,
    check_benchmarks_with_processes,
    check_compiler_options,
    check_single_script,
    check_fits_on_device,
    check_photon_tables,
    check_shipped_networks,
    check_photon_statistics,
    check_icetray,
    check_accelerator,
    check_many_cascades,
    check_photons_in_layers,
    check_reader,
    check_steps_of_cascades,
    check_unfolding,
}
"""Checks that take more than ten seconds on an idle core: they run at night, and every day their options are read."""


def test_every_program_has_a_check():
    files = {
        str(path.relative_to(ROOT)) for folder in ("experiments", "benchmarks") for path in (ROOT / folder).glob("*.py")
    }
    assert files - SHARED == set(ENTRIES), "programs without an entry, or entries without a program"


def has_options(path: str) -> bool:
    return "ArgumentParser" in (ROOT / path).read_text()


@pytest.mark.parametrize("path", [path for path, check in ENTRIES.items() if check in LONG and has_options(path)])
def test_a_long_program_can_be_imported_and_tells_its_options(path, script):
    text = (ROOT / path).read_text()
    assert set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', text)) <= set(
        script(path, "--help").replace(",", " ").split()
    )


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=check.__name__, marks=[pytest.mark.nightly] if check in LONG else [])
        for check in dict.fromkeys(
            [
                *filter(None, ENTRIES.values()),
                check_calibration_with_samples,
                check_reconstruction_speed_and_sky,
                check_benchmarks_with_processes,
                check_networks_of_common,
            ]
        )
    ],
)
def test_program(check, script, tmp_path):
    check(script, tmp_path)


def test_steps_of_an_experiment(script, experiment, detector, tmp_path):
    """Transformation, training, export and fits of the test files under the names of Event-Generator's programs."""
    config = write_config(tmp_path, detector)
    shutil.copytree(experiment / "events", tmp_path / "events")
    script("experiments/create_trafo_model.py", config)
    (own, other) = ((folder / "trafo" / "trafo.json").read_text() for folder in (tmp_path, experiment))
    assert own == other
    script("experiments/train_model.py", config)
    assert read_metrics(tmp_path / "training")[-1]["step"] == 12
    script("experiments/export_manager.py", config, "-o", tmp_path / "exported")
    exported = eg.load_model(tmp_path / "exported")
    fitted = tmp_path / "fits.hdf5"
    out = script(
        "experiments/reconstruct_test_data.py", config, "--set", f"reconstruction_settings.reco_output_file={fitted}"
    )
    assert str(fitted) in out
    with h5py.File(fitted) as file:
        tables = [file[name] for name in file if isinstance(file[name], h5py.Dataset) and file[name].dtype.names]
        (fits,) = [t for t in tables if "cascade_energy" in t.dtype.names]
        assert len(fits) == 20 and np.all(np.isfinite(fits["cascade_energy"]))
    assert exported.parameter_names[-1] == "cascade_time"

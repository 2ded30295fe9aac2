"""The demo as a whole, short and on a small detector; the gap between two likelihoods."""

import json
from dataclasses import replace

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import CONFIG

import evgen_jax as eg
from evgen_jax import extras
from evgen_jax.building.analytic import analytic_model
from evgen_jax.cli.demonstration import run_demo
from evgen_jax.config.validate import load_config
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import ConfigError
from evgen_jax.measurement.detector import load_detector
from evgen_jax.model.expectation import make_dom_expectation
from evgen_jax.simulation.likelihood_gap import likelihood_gap

FIGURES = ["arrival_times.png", "coverage.png", "errors.png", "event.png", "light_yield.png", "loss.png"]
LIKELIHOODS = ["trained network", "true likelihood"]


def test_a_short_demo(small_detector_csv, tmp_path, monkeypatch):
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "astropy_healpix" else found(name))
    text = (
        CONFIG.read_text()
        .replace("DIRECTORY/detector.csv", str(small_detector_csv))
        .replace("DIRECTORY", "{directory}")
    )
    source, directory = tmp_path / "source.yaml", tmp_path / "demo"
    source.write_text(text)
    summary = run_demo(directory, 3, source, 2)
    finished = json.loads((directory / "summary.json").read_text())
    assert finished["identity"] == {"steps": 3, "fits": 2} and list(finished["coverage"]) == LIKELIHOODS
    assert list(finished["medians"]) == ["seeds", *LIKELIHOODS, "Cramer-Rao bound"]
    for row in finished["medians"].values():
        assert list(row) == ["vertex_m", "angle_deg", "log_energy", "time_ns"]
        assert all(value >= 0 for value in row.values()) and row["angle_deg"] <= 180
    assert finished["medians"]["true likelihood"]["vertex_m"] < 40 and finished["gaps"]["trained network"] > 0
    assert (directory / "summary.md").read_text() == summary + "\n"
    for name, row in finished["medians"].items():
        assert f"| {name} | {row['vertex_m']:.2f} | {row['angle_deg']:.2f} |" in summary
    assert (
        f"{finished['gaps']['trained network']:.1f} below the true likelihood" in summary
        and "errors of 2 held-out cascades" in summary
    )
    for name, row in finished["coverage"].items():
        assert f"| {name} | {' | '.join(f'{share:.2f}' for share in row.values())} |" in summary
    assert all(stage in summary for stage in ("simulation", "training", "fits of the true likelihood", "bound"))
    # The sky map takes longer than all else here: it is left out as where its packages are not installed.
    assert "Left out: the network that comes with the package, which belongs to IceCube-86." in summary
    assert "Left out: the sky map needs astropy-healpix. Install it with: pip install" in summary
    assert sorted(path.name for path in (directory / "figures").iterdir()) == FIGURES
    page = (directory / "index.html").read_text()
    for name in FIGURES:
        assert plt.imread(directory / "figures" / name).shape[0] > 200 and f'src="figures/{name}"' in page
    assert "<td>Cramer-Rao bound</td>" in page
    assert eg.load_model(directory / "exported_3").parameter_names[0] == "cascade_x"

    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    assert run_demo(directory, 3, source, 2) == summary + "\n\n(Made by an earlier run, reused.)"
    own = {path: path.stat().st_mtime_ns for path in before if path.name != "demo.yaml"}
    assert own == {path: before[path] for path in own}, "a finished demo writes nothing"

    source.write_text(text + "\n# another one\n")
    with pytest.raises(
        ConfigError, match=r"demo.yaml: belongs to a demo of another configuration. Give another directory"
    ):
        run_demo(directory, 3, source, 2)
    with pytest.raises(ConfigError, match="missing.yaml: no such configuration file"):
        run_demo(directory, 3, tmp_path / "missing.yaml", 2)


def test_likelihood_gap_is_the_mean_difference_per_event(experiment):
    """Half the efficiency and half the noise: arrival times are as likely, charges have Poisson distributions of half the mean."""
    config = load_config(experiment / "config.yaml", ["data_iterator_settings.test.batch_size=20"])
    detector = load_detector(experiment / "detector.csv")
    truth = analytic_model(detector)
    halved = replace(
        truth,
        detector=detector.replace(
            relative_efficiency=0.5 * detector.relative_efficiency, noise_rate=0.5 * detector.noise_rate
        ),
    )
    (path,) = experiment.glob("events/*_000002.hdf5")
    file = read_event_file(path, config.data_handler_settings, truth.detector, parameters=truth.parameters)
    events = [file.event(i) for i in range(len(file))]

    gap, pulses = likelihood_gap(config, truth, truth)
    assert gap == 0 and pulses == np.mean([event.pulses.mask.sum() for event in events])

    charges = jax.jit(lambda hypothesis: make_dom_expectation(truth)(truth.variables, hypothesis, np.zeros(1)).charge)
    total = 0.0
    for event, hypothesis in zip(events, file.labels, strict=True):
        seen, expected = np.asarray(event.charge, float), np.asarray(charges(hypothesis), float)
        total += np.sum((seen * np.log(2) - expected / 2)[np.asarray(event.usable)])
    gap, _ = likelihood_gap(config, halved, truth)
    assert abs(total) > 10 and gap == pytest.approx(total / len(events), rel=1e-3)
    assert likelihood_gap(config, truth, halved)[0] == pytest.approx(-gap, rel=1e-9)

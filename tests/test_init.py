"""evgen-jax init: configurations that run as they are written."""

from pathlib import Path

import h5py
import pytest

from evgen_jax.building.experiment import create_trafo
from evgen_jax.building.model import hypothesis_of
from evgen_jax.building.start import HYPOTHESES
from evgen_jax.config.validate import load_config
from evgen_jax.data.labels import label_names
from evgen_jax.simulation.simulate import simulate

DEMO = Path(__file__).parent.parent / "evgen_jax" / "tables" / "demo.yaml"


@pytest.mark.parametrize("hypothesis", HYPOTHESES)
def test_every_hypothesis_has_a_configuration(hypothesis, small_detector_csv, command, tmp_path, caplog):
    path = tmp_path / f"{hypothesis}.yaml"
    code, out, err = command("init", "--hypothesis", hypothesis, "--detector", small_detector_csv, "-o", path)
    assert code == 0, err
    assert f"evgen-jax simulate {hypothesis}.yaml -o events" in out and "evgen-jax export" in out
    assert "@" not in path.read_text()
    config = load_config(path)
    assert not caplog.records  # every key acts
    parameters = hypothesis_of(config.model_settings)
    assert label_names(config.data_handler_settings) == tuple(own.name for own in parameters)
    assert list(config.data_handler_settings.label_settings.trafo_log) == [own.log for own in parameters]
    known = {own.name for own in parameters} | {own.role for own in parameters}
    assert {"x", "y", "z"} <= set(config.simulation_settings.ranges) or hypothesis == "track"
    assert config.data_trafo_settings.model_dir == str(tmp_path / "trafo") and known


def test_the_network_is_that_of_the_demo(command, tmp_path):
    assert command("init", "-o", tmp_path / "own.yaml")[0] == 0
    own, demo = (load_config(p).model_settings.multi_source_bases["cascade"] for p in (tmp_path / "own.yaml", DEMO))
    assert own == demo


def test_a_configuration_for_simulated_events_runs(small_detector_csv, command, tmp_path):
    path = tmp_path / "cascade.yaml"
    assert command("init", "--detector", small_detector_csv, "-o", path)[0] == 0
    config = load_config(path, ["simulation_settings.num_events=16", "simulation_settings.events_per_file=2"])
    files = simulate(config, tmp_path / "events")
    assert len(files) == 8
    create_trafo(config)
    assert (tmp_path / "trafo" / "trafo.json").exists()
    # The same files as somebody else's.
    code, out, err = command("init", *files, "--detector", small_detector_csv, "-o", tmp_path / "again.yaml")
    assert code == 0 and "simulate" not in out, err
    again = load_config(tmp_path / "again.yaml")
    assert again.data_handler_settings.data_settings == config.data_handler_settings.data_settings
    assert again.data_handler_settings.label_settings == config.data_handler_settings.label_settings
    assert again.data_iterator_settings.validation.input_data == (str(files[-1]),)
    assert len(again.data_iterator_settings.training.input_data) == 7
    assert again.reconstruction_settings.seed == "SmearedSeed"
    (tmp_path / "trafo" / "trafo.json").unlink()
    create_trafo(again)


def test_times_of_labels_may_be_spelled_as_icecube_does(experiment, small_detector_csv, command, tmp_path):
    for source in sorted((experiment / "events").glob("*.hdf5"))[:2]:
        with h5py.File(source) as old, h5py.File(tmp_path / source.name, "w") as new:
            for name in (name for name in old if isinstance(old[name], h5py.Dataset)):
                rows = old[name][:]
                rows.dtype.names = tuple(
                    "cascade_t" if column == "cascade_time" else column for column in rows.dtype.names
                )
                new[name] = rows
    code, _, err = command(
        "init", *sorted(tmp_path.glob("*.hdf5")), "--detector", small_detector_csv, "-o", tmp_path / "own.yaml"
    )
    assert code == 0, err
    config = load_config(tmp_path / "own.yaml")
    assert label_names(config.data_handler_settings)[-1] == "cascade_t"
    create_trafo(config)


def test_what_cannot_be_is_told(experiment, command, tmp_path):
    files, away = sorted((experiment / "events").glob("*.hdf5")), tmp_path / "away.csv"
    places = [(x, y, z) for x in (500, 600) for y in (-50, 50) for z in (-350, -300, -250)]
    rows = [f"{i // 3},{i % 3},{x},{y},{z}" for i, (x, y, z) in enumerate(places)]
    away.write_text("\n".join(["string,om,x,y,z", *rows]))
    for arguments, message in (
        (("--hypothesis", "cascad"), "hypothesis 'cascad' is unknown; known: cascade, "),
        (("-o", tmp_path / "c.json"), "expected a name that ends with .yaml"),
        ((files[0], "-o", tmp_path / "c.yaml"), "is the only file; one more is needed"),
        ((*files, "--hypothesis", "track", "-o", tmp_path / "c.yaml"), "has the columns of this hypothesis (track_entry_zenith"),
        # A detector of nine strings, and none is named.
        ((*files, "-o", tmp_path / "c.yaml"), "are not those of 'icecube86' with 5160 modules. Give --detector"),
        (("--medium", "water", "-o", tmp_path / "c.yaml"), "water: no such medium."),
        (("nothing.hdf5", "-o", tmp_path / "c.yaml"), "no file matches 'nothing.hdf5'"),
        # Tracks enter a sphere around the origin of coordinates, which this detector does not surround.
        (("--hypothesis", "track", "--detector", away, "-o", tmp_path / "c.yaml"), "Write the line '# origin: 550 0 -300'"),
    ):  # fmt: skip
        code, _, err = command("init", *arguments)
        assert code == 2 and message in err and err.startswith("error: ") and err.count("\n") == 1, err
        assert not (tmp_path / "c.yaml").exists()
    # With the line of the message tracks enter a sphere around the detector, and it is no longer doubted.
    away.write_text("# origin: 550 0 -300\n" + away.read_text())
    assert command("init", "--hypothesis", "track", "--detector", away, "-o", tmp_path / "d.yaml")[0] == 0
    assert load_config(tmp_path / "d.yaml").model_settings.multi_source_bases["track"].config["sphere_radius"] == 190
    code, out, _ = command("check", tmp_path / "d.yaml")
    assert code == 0 and "sphere_radius" not in out
    code, out, _ = command("check", tmp_path / "d.yaml", "--set", "detector_settings.geometry=icecube86")
    assert code == 0 and "of 5160 modules of 'icecube86' lie outside of the sphere of 190 m around (0, 0, 0) m" in out
    (tmp_path / "c.yaml").touch()
    code, _, err = command("init", "-o", tmp_path / "c.yaml")
    assert code == 2 and "is there already" in err

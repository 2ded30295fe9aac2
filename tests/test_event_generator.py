"""Event-Generator's twelve configurations load, build and train as they are, after changing data paths alone.

With EVGEN_JAX_STEPS=100 in the environment all of them train for 100 steps; without, five for two steps, three of these in
the nightly run.
"""

import logging
import os
from pathlib import Path

import event_generator
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_event_file import rows_of
from test_two_ways_in import EVENTS, random_tables, write

from evgen_jax.building.analytic import analytic_counterpart
from evgen_jax.building.directory import save_model
from evgen_jax.building.experiment import create_trafo
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source, init_variables
from evgen_jax.building.parts import hypothesis_parameters
from evgen_jax.config.records import IteratorSettings, ModelSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import BatchStream
from evgen_jax.data.conversion import Conversion
from evgen_jax.data.convert_files import convert
from evgen_jax.data.labels import label_log_flags, label_names
from evgen_jax.hypothesis.names import misplaced, read_parameters
from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.hypothesis.trafo import Trafo, typical_trafo
from evgen_jax.measurement.detector import load_detector
from evgen_jax.model.model import Model
from evgen_jax.simulation.simulate import simulate
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.run import manager_directory, train

BASES = {  # what the load_dir entries name
    "big": "cascade_7param_noise_ftpv3m__big",
    "tiny": "cascade_7param_noise_ftpv3m__tiny",
    "track": "track_sphere_6param_ftpv3m",
}


def config_of(name: str, directory: Path):
    path = directory / f"{name}.yaml"
    path.write_text(event_generator.text(name).replace("DATA", str(directory)))
    return load_config(path)


STEPS = int(os.environ.get("EVGEN_JAX_STEPS", "2"))
FEW = (
    "cascade_7param_noise_ftpv3m__tiny",
    "cascade_11param_noise_ftpv3m",
    "track_sphere_6param_ftpv3m",
    "starting_multi_cascade_7param_noise_ftpv3m__big_n002",
    "track_sphere_dist_10_ftpv3m__test",
)
EVERY_DAY = ("cascade_7param_noise_ftpv3m__tiny", "track_sphere_6param_ftpv3m")
"""The others have further hypotheses, whose light, simulation and gradients test_zoo.py and test_hypotheses.py have."""
TRAINED = (
    event_generator.CONFIGURATIONS
    if "EVGEN_JAX_STEPS" in os.environ
    else [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.nightly) for name in FEW]
)


def trafo_for(names) -> Trafo:
    return typical_trafo(read_parameters(names))


@pytest.fixture
def load(tmp_path):
    """Stands for exported models: the sources are there, their weights are not needed to build others."""

    def model(directory: str) -> Model:
        name, *part = Path(directory).relative_to(tmp_path / "models").parts
        settings = config_of(BASES[name], tmp_path).model_settings
        source, _ = build_source(settings, trafo_for(build_source(settings)[0].parameter_names))
        plain = settings.model_dump(mode="json")
        for key in part:
            source, plain = dict(source.bases)[key], plain["multi_source_bases"][key]
        return Model(
            source, {"from": directory}, Trafo((), (), (), ()), load_detector(), settings={"model_settings": plain}
        )

    return model


@pytest.mark.parametrize("name", event_generator.CONFIGURATIONS)
def test_it_loads_and_builds(name, tmp_path, load, caplog):
    config = config_of(name, tmp_path)
    # One line of all that has no effect here, whatever the number of keys.
    (line,) = [r.getMessage() for r in caplog.records]
    assert "without effect here: data_iterator_settings.*.batch_capacity" in line
    caplog.clear()
    *_, count = event_generator.CONFIGURATIONS[name]
    names = build_source(config.model_settings, None, load)[0].parameter_names
    assert len(names) == count == len(label_names(config.data_handler_settings))
    log, labels = label_log_flags(config.data_handler_settings), list(label_names(config.data_handler_settings))
    assert len(log) == count
    # Labels stand in the order of the parameters, as far as their names tell; swapped ones do not.
    parameters = parameters_of(build_source(config.model_settings, None, load)[0])
    assert [parameter.log for parameter in parameters] == list(log) and misplaced(labels, parameters) == []
    for i, j in ((0, 1), (count - 2, count - 1)):
        swapped = labels.copy()
        swapped[i], swapped[j] = swapped[j], swapped[i]
        assert misplaced(swapped, parameters) != []
    # Energies are taken as logarithms, nothing else.
    assert [("energy" in n) for n in names] == list(log)
    source, loaded = build_source(config.model_settings, trafo_for(names), load)
    assert source.parameter_names == names
    assert (loaded is not None) == ("load_dir" in event_generator.text(name))
    build_loss(config.loss_module_settings)
    _, rate = build_optimizer(config.training_settings)
    assert float(rate(1000)) == pytest.approx(1e-3) and config.model_manager_settings.config.manager_dir.endswith(name)

    def settings_of(directory: str) -> ModelSettings:
        return ModelSettings.model_validate(load(directory).settings["model_settings"])

    other = build_source(analytic_counterpart(config.model_settings, settings_of))[0]
    assert other.parameter_names == names  # every one of them can be simulated
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert all("without effect here" in line for line in said)  # of the files of its bases


@pytest.mark.parametrize("name", event_generator.CONFIGURATIONS)
def test_converted_events_are_those_of_the_file(name, tmp_path, loaded_detector):
    """Its tables and labels, and the batches that its training sees."""
    handler = config_of(name, tmp_path).data_handler_settings
    tables = random_tables(loaded_detector, 1)
    data, labels = handler.data_settings, handler.label_settings
    rng, names = np.random.default_rng(2), label_names(handler)
    own, snowstorm = names[: len(names) - len(labels.snowstorm_parameters)], labels.snowstorm_parameters
    written = {
        data.pulse_key: tables["Pulses"],
        data.dom_exclusions_key: tables["Excluded"],
        data.time_exclusions_key: tables["Windows"],
        labels.label_key: rows_of(np.arange(EVENTS), **{n: rng.uniform(1, 2, EVENTS) for n in own}),
        labels.snowstorm_key: rows_of(np.arange(EVENTS), **{n: rng.uniform(1, 2, EVENTS) for n in snowstorm}),
    }
    written.setdefault(data.event_id_key, rows_of(np.arange(EVENTS)))
    path = write(tmp_path / "f.hdf5", {key: rows for key, rows in written.items() if key is not None})
    convert(Conversion(str(path), handler, loaded_detector), tmp_path / "store")
    batches = []
    for source in (path, tmp_path / "store"):
        iterator = IteratorSettings(input_data=str(source), batch_size=5, num_jobs=0)
        stream = BatchStream(iterator, handler, loaded_detector, seed=1)
        batches.append([(batch.events, batch.labels) for batch, _ in zip(stream, range(4), strict=False)])
    assert batches[0][0][1].shape == (5, len(names)) and not batches[0][0][0].usable.all()
    jax.tree.map(np.testing.assert_array_equal, *batches)


@pytest.fixture(scope="module")
def models(tmp_path_factory, loaded_detector) -> Path:
    """The models that `load_dir` entries name, exported, of the small detector."""
    directory = tmp_path_factory.mktemp("models")
    detector = jax.tree.map(jnp.asarray, loaded_detector)
    for short, name in BASES.items():
        config = config_of(name, directory)
        names = build_source(config.model_settings)[0].parameter_names
        source, _ = build_source(config.model_settings, trafo_for(names))
        model = Model(
            source,
            init_variables(source, None, jax.random.key(0), detector),
            trafo_for(names),
            detector,
            build_loss(config.loss_module_settings),
            config.model_dump(mode="json"),
        )
        save_model(model, directory / "models" / short)
    return directory


@pytest.mark.parametrize("name", TRAINED)
def test_it_trains(name, tmp_path, models, small_detector_csv):
    """On a small detector, with few events per batch, from converted events."""
    (tmp_path / "models").symlink_to(models / "models")
    text = event_generator.text(name).replace("DATA", str(tmp_path))
    for old, new in (
        ("'batch_size': 32", "'batch_size': 2"),
        ("'num_jobs': 8", "'num_jobs': 0"),
        ("'num_jobs': 3", "'num_jobs': 0"),
        ("'num_training_iterations': 1500000", f"'num_training_iterations': {STEPS}"),
    ):
        assert old in text
        text = text.replace(old, new)
    more = f"""
detector_settings: {{geometry: {small_detector_csv}}}
simulation_settings: {{num_events: 12, events_per_file: 6, ranges: {{entry_energy: [1e3, 1e4], energy: [500.0, 2e3]}}}}
"""
    more = more.replace(
        *((", energy: [500.0, 2e3]", "") if name.startswith("track") else ("entry_energy: [1e3, 1e4], ", ""))
    )
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("\n...\n", more))
    config = load_config(path)
    simulate(config, tmp_path / "events")
    create_trafo(config)
    files = config.data_iterator_settings.training.input_data
    conversion = Conversion(
        files, config.data_handler_settings, load_detector(small_detector_csv), parameters=hypothesis_parameters(config)
    )
    convert(conversion, tmp_path / "converted")
    config = load_config(path, [f"data_iterator_settings.training.input_data=['{tmp_path}/converted']"])
    state = train(config, progress=False)
    assert int(state.step) == STEPS
    losses = [line["loss"] for line in read_metrics(manager_directory(config)) if "loss" in line]
    assert losses and np.all(np.isfinite(losses))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.variables))

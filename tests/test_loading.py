"""What may be loaded, and what is said of other directories: models, runs, transformations, those of Event-Generator."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from zoo import CASCADE, NOISE, section

from evgen_jax.building.directory import load_model, save_model
from evgen_jax.building.experiment import build_model, create_trafo, experiment_trafo
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source, init_variables
from evgen_jax.config.records import LossSettings, ModelSettings
from evgen_jax.config.validate import load_config
from evgen_jax.errors import ConfigError, EvgenError, TrafoError
from evgen_jax.hypothesis.names import same_parameters
from evgen_jax.hypothesis.trafo import Trafo, load_trafo
from evgen_jax.model.model import Model

ALONE = ("x", "y", "z", "zenith", "azimuth", "energy", "time")
AS_PART = tuple(f"cascade_{name}" for name in ALONE)
LABELS = (*AS_PART[:-1], "cascade_t")
TRACK = ("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth")
LOSS = {"config": {"loss_function_name": "dom_charge_pdf"}}


def trafo_of(names, offset=0.0) -> Trafo:
    count = range(len(names))
    log = tuple(name.endswith("energy") for name in names)
    return Trafo(tuple(names), tuple(offset + i for i in count), tuple(offset + 1.5 + i for i in count), log)


def test_names_that_differ_by_a_prefix_are_the_same_parameters():
    further = (*ALONE, "cascade_00001_energy", "cascade_00001_distance")
    for one, other in (
        (ALONE, AS_PART),
        (LABELS, ALONE),
        (TRACK, [f"track_{n}" for n in TRACK]),
        (["x"], ["a_x"]),
        (further, [f"cascade_{n}" for n in further]),
        (["shower_" + n for n in ALONE], AS_PART),
    ):
        assert same_parameters(one, other) and same_parameters(other, one)
    swapped = (AS_PART[1], AS_PART[0], *AS_PART[2:])
    mixed = ("a_x", "b_y", *AS_PART[2:])
    for other in (swapped, mixed, AS_PART[:-1], TRACK, (*AS_PART[:-1], "cascade_length")):
        assert not same_parameters(ALONE, other) and not same_parameters(other, ALONE)
    assert not same_parameters(["x"], ["max"])


def test_a_transformation_serves_under_another_prefix(tmp_path):
    trafo_of(ALONE).save(tmp_path / "trafo.json")
    found = load_trafo(tmp_path / "trafo.json", AS_PART)
    assert found == replace(trafo_of(ALONE), parameter_names=AS_PART)
    with pytest.raises(TrafoError, match="was fitted for the parameters x, y, z"):
        load_trafo(tmp_path / "trafo.json", (AS_PART[1], AS_PART[0], *AS_PART[2:]))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "data.pickle").write_bytes(b"")
    with pytest.raises(
        TrafoError, match="holds a data transformation of Event-Generator. Import a model that was trained with it"
    ):
        load_trafo(tmp_path / "theirs" / "trafo.json")


def test_a_transformation_with_other_logarithms_is_refused(experiment, tmp_path):
    config = load_config(experiment / "config.yaml")
    assert experiment_trafo(config).log == (False,) * 5 + (True, False)
    moved = config.data_trafo_settings.model_copy(update={"model_dir": str(tmp_path)})
    config = config.model_copy(update={"data_trafo_settings": moved})
    trafo_of(ALONE).save(tmp_path / "trafo.json")
    assert experiment_trafo(config).parameter_names == AS_PART
    replace(trafo_of(ALONE), log=(False,) * 7).save(tmp_path / "trafo.json")
    with pytest.raises(TrafoError, match=r"takes 'cascade_energy' as it is, but label_settings.trafo_log .* says True"):
        experiment_trafo(config)


def test_a_transformation_that_is_there_already_serves_both(experiment, tmp_path):
    """Configurations that share a directory, as four of Event-Generator's do, do not put aside what the other one made."""
    config = load_config(experiment / "config.yaml")
    moved = config.data_trafo_settings.model_copy(update={"model_dir": str(tmp_path)})
    file = tmp_path / "trafo.json"
    replace(experiment_trafo(config), parameter_names=ALONE).save(file)
    before = load_trafo(file)
    config = config.model_copy(update={"data_trafo_settings": moved})
    create_trafo(config)
    assert (
        load_trafo(file) == before
        and before.parameter_names == ALONE
        and [p.name for p in tmp_path.iterdir()] == ["trafo.json"]
    )
    trafo_of(ALONE).save(file)
    create_trafo(config)
    assert experiment_trafo(config).mean != trafo_of(ALONE).mean and (tmp_path / "trafo.json.old-1").is_file()


def test_a_base_may_have_a_transformation_of_its_own(tmp_path, detector):
    """It enters the network, stays with the exported part, and is refused where it could not be used."""
    own, joint = trafo_of(ALONE, 100.0), trafo_of(AS_PART)
    own.save(tmp_path / "own" / "trafo.json")
    with_own = {**CASCADE, "data_trafo_settings": {"model_dir": str(tmp_path / "own")}}
    plain = section(
        "IndependentMultiSource",
        {"cascade": with_own, "noise": NOISE},
        sources={"cascade": "cascade", "noise": "noise"},
    )
    source, _ = build_source(ModelSettings.model_validate(plain), joint)
    assert dict(source.bases)["cascade"].trafo == own
    detector = jax.tree.map(np.asarray, detector)
    variables = init_variables(source, None, jax.random.key(0), detector)
    settings = {"model_settings": plain, "loss_module_settings": LOSS}
    save_model(
        Model(source, variables, joint, detector, build_loss(LossSettings(**LOSS)), settings), tmp_path / "model"
    )
    assert dict(load_model(tmp_path / "model").source.bases)["cascade"].trafo == own
    assert load_model(tmp_path / "model" / "cascade").source.trafo == own
    for wrong, message in (
        ({**CASCADE, "data_trafo_settings": {"model_dir": str(tmp_path)}}, "no data transformation there"),
        ({**CASCADE, "data_trafo_settings": {"model_dirs": "x"}}, "model_dirs: unknown key"),
        (
            section("AnalyticCascadeModel") | {"data_trafo_settings": {"model_dir": "x"}},
            "takes the transformation of the",
        ),
    ):
        bases = {"cascade": wrong, "noise": NOISE}
        with pytest.raises(ConfigError, match=r"multi_source_bases.cascade.data_trafo_settings: ") as caught:
            build_source(ModelSettings.model_validate({**plain, "multi_source_bases": bases}), joint)
        assert message in str(caught.value)


def test_the_whole_has_one_transformation(experiment):
    config = load_config(experiment / "config.yaml")
    model = config.model_settings.model_copy(update={"data_trafo_settings": {"model_dir": "elsewhere"}})
    with pytest.raises(ConfigError, match=r"model_settings.data_trafo_settings: names elsewhere, but"):
        build_model(config.model_copy(update={"model_settings": model}))


def test_directories_that_are_no_models_are_told_as_what_they_are(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "file").write_text("")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "configuration.yaml").write_text("class_string: x")
    (theirs / "data.pickle").write_bytes(b"cos\nabort\n(tR.")  # would end this process if it were unpickled
    for name, message in (
        ("theirs", "was written by Event-Generator. Make a model of it with: evgen-jax import"),
        ("file", "is a file; expected a model directory"),
        (
            "modell",
            "does not exist; expected a model directory, or a model by name: demo, icecube86-cascade or icecube86-table. Did you mean 'model'?",
        ),
        ("model", "checksums.json is missing"),
        ("none/at/all", "does not exist"),
    ):
        with pytest.raises(EvgenError) as caught:
            load_model(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ") and message in str(caught.value)


def test_an_export_of_event_generator_is_told_as_such():
    directory = Path(__file__).parents[2] / "shared" / "reference" / "tensorflow_export" / "tiny"
    if not directory.is_dir():
        pytest.skip("needs the reference's files")
    for part in ("", "models_0000", "models_0000/data_trafo"):
        with pytest.raises(EvgenError, match="was written by Event-Generator"):
            load_model(directory / part)


def test_the_key_that_names_a_directory_is_told(tmp_path):
    bases = {"cascade": {"load_dir": str(tmp_path / "nothing")}}
    plain = section("IndependentMultiSource", bases, sources={"cascade": "cascade"})
    with pytest.raises(
        ConfigError, match=r"model_settings.multi_source_bases.cascade.load_dir: .*nothing: does not exist"
    ):
        build_source(ModelSettings.model_validate(plain), None, load_model)

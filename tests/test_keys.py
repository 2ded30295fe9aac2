"""Every key of every section acts, is told to have no effect, or is refused."""

import copy
import logging
import re

import pytest
from zoo import CASCADE, CHARGE, NOISE, TIME, TRACK, section

from evgen_jax.building.decoders import build_decoder
from evgen_jax.building.directory import load_model
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source
from evgen_jax.config import records
from evgen_jax.config.keys import check_keys
from evgen_jax.config.record import ACTS, WHEN_FITTED, key_of
from evgen_jax.config.records import DecoderSettings, ExperimentConfig, LossSettings, ModelSettings, Record
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError
from evgen_jax.reconstruction.run.program import NOT_COMPUTED

ALL = [c for c in vars(records).values() if isinstance(c, type) and issubclass(c, Record) and c is not Record]
BASE = {
    "unique_name": "keys",
    "training_settings": {"num_training_iterations": 1},
    "model_manager_settings": {"config": {"manager_dir": "m"}},
    "data_iterator_settings": {"training": {"input_data": "x"}},
    "data_handler_settings": {"data_settings": {"pulse_key": "p", "event_id_key": "e"}},
    "data_trafo_settings": {"model_dir": "t"},
    "loss_module_settings": [{"config": {"loss_function_name": "dom_charge_pdf"}}],
    "model_settings": {"model_class": "AnalyticCascadeModel"},
}
HANDLER, RECONSTRUCTION, SIMULATION = "data_handler_settings", "reconstruction_settings", "simulation_settings"
ITERATOR = "data_iterator_settings.training"
TOLD, REFUSED = "told", "refused"
EXAMPLES = {
    # (record, key): what happens, {path: value}
    ("IteratorSettings", "file_capacity"): (TOLD, {f"{ITERATOR}.file_capacity": 5}),
    ("IteratorSettings", "batch_capacity"): (TOLD, {f"{ITERATOR}.batch_capacity": 100}),
    ("IteratorSettings", "dataset_capacity"): (TOLD, {f"{ITERATOR}.dataset_capacity": 10}),
    ("IteratorSettings", "num_splits"): (TOLD, {f"{ITERATOR}.num_splits": 3}),
    ("IteratorSettings", "verbose"): (TOLD, {f"{ITERATOR}.verbose": True}),
    ("IteratorSettings", "biased_selection_module"): (REFUSED, {f"{ITERATOR}.biased_selection_module": "x.Biased"}),
    ("PulseSettings", "float_precision"): (REFUSED, {f"{HANDLER}.data_settings.float_precision": "float64"}),
    ("PulseSettings", "add_charge_quantiles"): (TOLD, {f"{HANDLER}.data_settings.add_charge_quantiles": True}),
    ("LabelSettings", "float_precision"): (REFUSED, {f"{HANDLER}.label_settings.float_precision": "float64"}),
    ("MiscSettings", "float_precision"): (REFUSED, {f"{HANDLER}.misc_settings.float_precision": "float64"}),
    ("MiscSettings", "seed_names"): (TOLD, {f"{HANDLER}.misc_settings.seed_names": ["Seed"]}),
    ("DataHandlerSettings", "data_handler"): (REFUSED, {f"{HANDLER}.data_handler": "other.Handler"}),
    ("DataHandlerSettings", "data_module"): (REFUSED, {f"{HANDLER}.data_module": "other.DataModule"}),
    ("DataHandlerSettings", "label_settings"): (REFUSED, {f"{HANDLER}.label_settings.parameter_names": ["x"]}),
    ("DataHandlerSettings", "weight_module"): (REFUSED, {f"{HANDLER}.weight_module": "x.SnowstormWeightModule"}),
    ("DataHandlerSettings", "weight_settings"): (REFUSED, {f"{HANDLER}.weight_settings": {"key": "weights"}}),
    ("DataHandlerSettings", "misc_module"): (REFUSED, {f"{HANDLER}.misc_module": "x.OtherMiscModule"}),
    ("DataHandlerSettings", "misc_settings"): (
        REFUSED,
        {f"{HANDLER}.misc_module": "dummy.DummyMiscModule", f"{HANDLER}.misc_settings.seed_parameter_names": ["x"]},
    ),
    ("DataHandlerSettings", "filter_module"): (REFUSED, {f"{HANDLER}.filter_module": "x.OtherFilterModule"}),
    ("DataHandlerSettings", "filter_settings"): (
        REFUSED,
        {
            f"{HANDLER}.filter_module": "dummy.DummyFilterModule",
            f"{HANDLER}.filter_settings.constraints": [["t", "c", ">", 1]],
        },
    ),
    ("TrafoSettings", "float_precision"): (REFUSED, {"data_trafo_settings.float_precision": "float32"}),
    **{
        ("ModelSettings", key): (TOLD, {"model_settings.load_dir": "m", f"model_settings.{key}": value})
        for key, value in (
            ("model_class", "DefaultCascadeModel"),
            ("config", {"sources": {}}),
            ("multi_source_bases", {"c": {}}),
            ("decoder_settings", TIME),
            ("decoder_charge_settings", CHARGE),
        )
    },
    **{
        ("OptimizerSettings", key): (TOLD, {f"training_settings.optimizer_settings.{key}": value})
        for key, value in (
            ("ema_momentum", 0.99),
            ("ema_overwrite_frequency", 5),
            ("name", "Adam"),
            ("jit_compile", True),
        )
    },
    ("ManagerConfig", "I3ParticleMapping"): (TOLD, {"model_manager_settings.config.I3ParticleMapping": {"x": "x"}}),
    ("ManagerSettings", "model_manager_class"): (REFUSED, {"model_manager_settings.model_manager_class": "x.Other"}),
    ("ManagerSettings", "allow_rebuild_base_decoders"): (
        REFUSED,
        {"model_manager_settings.allow_rebuild_base_decoders": False},
    ),
    ("ReconstructionSettings", "reco_output_file"): (TOLD, {f"{RECONSTRUCTION}.reco_output_file": "x.hdf5"}),
    ("ReconstructionSettings", "seed_float_precision"): (TOLD, {f"{RECONSTRUCTION}.seed_float_precision": "float32"}),
    ("ReconstructionSettings", "gradient_tolerance"): (
        REFUSED,
        {f"{RECONSTRUCTION}.reco_optimizer_interface": "scipy", f"{RECONSTRUCTION}.gradient_tolerance": 0.1},
    ),
    ("ReconstructionSettings", "max_iterations"): (
        REFUSED,
        {f"{RECONSTRUCTION}.reco_optimizer_interface": "scipy", f"{RECONSTRUCTION}.max_iterations": 10},
    ),
    ("ReconstructionSettings", "seed_spreads"): (TOLD, {f"{RECONSTRUCTION}.seed_spreads": {"x": 3.0}}),
    ("ReconstructionSettings", "refit_directions"): (
        TOLD,
        {f"{RECONSTRUCTION}.seed": "pulses", f"{RECONSTRUCTION}.refit_directions": True},
    ),
    ("ReconstructionSettings", "sphere_radius"): (TOLD, {f"{RECONSTRUCTION}.sphere_radius": 500.0}),
    ("ReconstructionSettings", "scipy_optimizer_settings"): (
        TOLD,
        {f"{RECONSTRUCTION}.scipy_optimizer_settings": {"method": "BFGS"}},
    ),
    ("ReconstructionSettings", "tf_optimizer_settings"): (TOLD, {f"{RECONSTRUCTION}.tf_optimizer_settings": {"a": 1}}),
    ("ReconstructionSettings", "parameter_tensor_name"): (
        REFUSED,
        {f"{RECONSTRUCTION}.parameter_tensor_name": "x_other"},
    ),
    **{
        ("SimulationSettings", key): (TOLD, {f"{SIMULATION}.{key}": value})
        for key, value in (
            ("photons", 1000),
            ("sphere_radius", 3.0),
            ("sphere_radius_by_distance", 0.1),
            ("events_per_cascade", 2),
            ("tilt", {"azimuth": 0.0, "distances": [0.0, 100.0], "shifts": [0.0, 5.0]}),
            ("anisotropy", {"strength": 0.1, "azimuth": 2.0}),
        )
    },
    ("SimulationSettings", "single_photoelectron_charge"): (
        TOLD,
        {
            f"{SIMULATION}.light": "photons",
            f"{SIMULATION}.draw": False,
            f"{SIMULATION}.single_photoelectron_charge": True,
        },
    ),
    ("SimulationSettings", "merge_pulses"): (
        TOLD,
        {f"{SIMULATION}.light": "photons", f"{SIMULATION}.draw": False, f"{SIMULATION}.merge_pulses": 1.0},
    ),
    ("SimulationSettings", "smallest_charge"): (
        TOLD,
        {f"{SIMULATION}.light": "photons", f"{SIMULATION}.smallest_charge": 0.2},
    ),
    ("SimulationSettings", "draw"): (REFUSED, {f"{SIMULATION}.draw": False}),
    ("SimulationSettings", "model"): (REFUSED, {f"{SIMULATION}.light": "photons", f"{SIMULATION}.model": "exported"}),
    ("TiltSettings", "distances"): (
        REFUSED,
        {
            f"{SIMULATION}.light": "photons",
            f"{SIMULATION}.tilt": {"azimuth": 0.0, "shifts": [0.0, 5.0]},
            f"{SIMULATION}.tilt.distances": [0.0],
        },
    ),
    ("EvaluationSettings", "config"): (REFUSED, {"evaluation_module_settings.config": {"key": 1}}),
}


def with_values(changes: dict) -> dict:
    plain = copy.deepcopy(BASE)
    for path, value in changes.items():
        place = plain
        *parts, last = path.split(".")
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return plain


def checked(changes: dict) -> None:
    """What loading a configuration and building its loss check."""
    config = validate(ExperimentConfig, with_values(changes), "file.yaml")
    check_keys(config, "file.yaml")
    build_loss(config.loss_module_settings)


def test_every_key_that_does_not_act_has_an_example():
    keys = {(c.__name__, name): key_of(c, name) for c in ALL for name in c.model_fields}
    assert {place for place, key in keys.items() if key not in (ACTS, WHEN_FITTED)} == set(EXAMPLES)
    assert {name for (_, name), key in keys.items() if key is WHEN_FITTED} == set(NOT_COMPUTED)
    checked({})


@pytest.mark.parametrize(("record", "key"), EXAMPLES)
def test_a_key_that_does_not_act_is_told_or_refused(record, key, caplog):
    happens, changes = EXAMPLES[record, key]
    (path,) = [p for p in changes if p.endswith(key)] or [key]
    if happens == REFUSED:
        with pytest.raises(
            ConfigError, match=r"^(file\.yaml|loss_module_settings|data_iter).*" + re.escape(path.rsplit(".")[-1])
        ):
            checked(changes)
        return
    checked(changes)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith("file.yaml: without effect here: ")
    assert path.replace("_settings.training", "_settings.*") in line


@pytest.mark.parametrize(
    "entry",
    [
        {"config": {"loss_function_name": "dom_charge_pdf", "float_precision": "float64"}},
        {"loss_module": "SnowstormPriorLossModule", "config": {"float_precision": "float64"}},
    ],
)
def test_losses_have_one_precision(entry):
    with pytest.raises(ConfigError, match=r"^loss_module_settings\.config\.float_precision: expected 'float32', got"):
        checked({"loss_module_settings": [entry]})


@pytest.mark.parametrize("name", ["trafo", "validation"])
def test_transformations_and_validations_read_their_files_once(name, caplog):
    path = f"data_iterator_settings.{name}"
    checked({path: {"input_data": "x", "batch_size": 8, "num_jobs": 20, "num_add_files": 3}})
    assert caplog.text.count(f"without effect here: {path}.num_add_files, {path}.num_jobs.") == 1


def test_frequencies_of_what_is_not_done_are_told(caplog):
    often = {f"training_settings.{name}_frequency": 100 for name in ("validation", "evaluation")}
    checked(often)
    assert "here: training_settings.evaluation_frequency, training_settings.validation_frequency." in caplog.text
    caplog.clear()
    checked(
        often
        | {
            "data_iterator_settings.validation": {"input_data": "x"},
            "evaluation_module_settings.evaluation_module": "LossTerms",
        }
    )
    assert not caplog.records


def test_options_of_a_source_without_effect_are_told(caplog):
    plain, _ = SECTIONS["track with cascades"]
    checked({"model_settings": with_config(plain, num_cascades=30)})
    assert caplog.text.count("without effect here: model_settings.config.num_cascades.") == 1
    build_source(ModelSettings.model_validate(with_config(plain, num_cascades=30)))


def test_all_keys_without_effect_are_one_line(caplog):
    told = {}
    for happens, changes in EXAMPLES.values():
        if happens == TOLD and "model_settings.load_dir" not in changes:
            told |= changes
    checked(told | {"data_iterator_settings.validation": {"input_data": "x", "file_capacity": 5}})
    assert len(caplog.records) == 1 and caplog.text.count("file_capacity") == 1


# Sections whose keys depend on a class: what is known is what the message of an unknown key lists. Keys that do not act have
# an example that is refused.
LEARNED = {
    "num_filters_list",
    "method_list",
    "activation_list",
    "use_residual_list",
    "use_dropout_list",
    "keep_prob",
    "use_batch_norm_list",
    "filter_size_list",
    "float_precision",
    "additional_label_names",
    "snowstorm_parameter_names",
    "add_anisotropy_angle",
    "add_dom_angular_acceptance",
    "add_axis_cosine",
    "add_dom_coordinates",
    "add_log_distance",
    "num_local_vars",
    "scale_charge",
    "scale_charge_by_relative_dom_efficiency",
    "scale_charge_by_global_dom_efficiency",
    "scale_charge_by_angular_acceptance",
    "scale_charge_by_relative_angular_acceptance",
    "scale_charge_by_diffusion",
    "scale_charge_by_light",
    "start_times_from_light",
    "use_constant_baseline_hole_ice",
    "inputs",
    "anisotropy_azimuth",
    "num_embedding_vars",
    "layer_start",
    "time_filters_list",
    "light_along_way",
    "baseline_hole_ice_p0",
    "baseline_hole_ice_p1",
    "mixture_component_t_seeds",
    "charge_scale_tensors",
    "angular_acceptance",
    "density_per_microsecond",
}
ONE, BOTH = {"cascade": CASCADE}, {"track": TRACK, "cascade": CASCADE}
ON_TRACK = {"sphere_radius": 300.0}
SECTIONS = {
    # name: (section, keys that are known)
    "cascade": (
        CASCADE,
        LEARNED | {"shift_cascade_vertex", "shift_cascade_time", "add_opening_angle", "opening_angle_as_cosine"},
    ),
    "track": (TRACK, LEARNED | {"sphere_radius", "charge_distribution_type"}),
    "noise": (NOISE, {"float_precision", "num_local_vars", "charge_scale_tensors"}),
    "analytic cascade": (section("AnalyticCascadeModel"), {"float_precision", "ice_parameters"}),
    "analytic track": (
        section("AnalyticSphereTrackModel", **ON_TRACK),
        {"float_precision", "ice_parameters", "sphere_radius", "segment_length", "with_mean_losses"},
    ),
    "analytic noise": (section("AnalyticNoiseModel"), {"float_precision"}),
    "independent": (section("IndependentMultiSource", ONE, sources={"a": "cascade"}), {"sources", "float_precision"}),
    "starting": (
        section("StartingVariableMultiCascadeModel", ONE, num_cascades=2),
        {"num_cascades", "float_precision"},
    ),
    "variable track": (
        section("InfSphereTrackVariableMultiCascadeModel", BOTH, num_cascades=2, **ON_TRACK),
        {"num_cascades", "sphere_radius", "float_precision"},
    ),
    "equidistant track": (
        section("InfSphereTrackEquidistantCascadeModel", BOTH, cascade_spacing=50.0, **ON_TRACK),
        {"cascade_spacing", "sphere_radius", "float_precision"},
    ),
    "finite track": (section("FiniteTrackMultiCascadeModel", ONE, num_segments=2), {"num_segments", "float_precision"}),
    "track with cascades": (
        TRACK
        | {
            "model_class": "EnteringSphereInfTrackMultiCascade",
            "config": TRACK["config"]
            | {
                "cascade_spacing": 50.0,
                "config_cascade": {k: v for k, v in CASCADE.items() if k.startswith(("config", "decoder"))},
            },
        },
        LEARNED | {"sphere_radius", "charge_distribution_type", "cascade_spacing", "num_cascades", "config_cascade"},
    ),
}
DECODERS = {
    "charge": (CHARGE, {"float_precision", "value_range_mapping", "offset", "add_normalization_term"}),
    "spline": (
        {"decoder_class": "RationalQuadraticSplineDecoder"},
        {"float_precision", "value_range_mapping", "offset", "add_normalization_term", "num_bins"},
    ),
    "mixture": (TIME, {"decoder_mapping", "value_range_mapping", "float_precision"}),
}


def known(build) -> set[str]:
    with pytest.raises(ConfigError, match="no_such_key: unknown key") as caught:
        build()
    return set(re.search(r"Known here: (.*?)\.(?: Did|$)", str(caught.value))[1].split(", "))


def with_config(plain: dict, **more) -> dict:
    return plain | {"config": plain.get("config", {}) | more}


@pytest.mark.parametrize("name", SECTIONS)
def test_keys_of_sources_are_those_of_the_table(name):
    plain, keys = SECTIONS[name]
    build_source(ModelSettings.model_validate(plain))
    assert known(lambda: build_source(ModelSettings.model_validate(with_config(plain, no_such_key=1)))) == keys


@pytest.mark.parametrize("name", DECODERS)
def test_keys_of_decoders_are_those_of_the_table(name):
    plain, keys = DECODERS[name]
    build_decoder(DecoderSettings.model_validate(plain))
    assert known(lambda: build_decoder(DecoderSettings.model_validate(with_config(plain, no_such_key=1)))) == keys


BASE_DECODER = {"a": CHARGE}
REFUSED_SECTIONS = {
    "dropout nowhere": (with_config(CASCADE, keep_prob=0.5), "keep_prob: has no effect"),
    "normalised over batches": (
        with_config(CASCADE, use_batch_norm_list=True),
        "use_batch_norm_list: is not supported",
    ),
    "wide filters": (with_config(CASCADE, filter_size_list=[[3, 3]] * 3), r"filter_size_list: only \[1, 1\]"),
    "another charge distribution": (
        with_config(TRACK, charge_distribution_type="asymmetric_gaussian"),
        "charge_distribution_type: got 'asymmetric_gaussian', but",
    ),
    "times of noise": (NOISE | {"decoder_settings": TIME}, "decoder_settings: noise has no time decoder"),
    "bases of a source": (CASCADE | {"multi_source_bases": {"c": CASCADE}}, "is no multi-source"),
    "precision of a sum": (
        section("IndependentMultiSource", ONE, sources={"a": "cascade"}, float_precision="float64"),
        "float_precision: got 'float64', but it computes in the precision of its source, float32",
    ),
    "precision of a decoder": (
        CASCADE | {"decoder_charge_settings": with_config(CHARGE, float_precision="float64")},
        "decoder_charge_settings.config.float_precision: got 'float64'",
    ),
    "decoder without normalisation": (
        CASCADE | {"decoder_charge_settings": with_config(CHARGE, add_normalization_term=False)},
        "add_normalization_term: distributions are always normalised",
    ),
    "bases of a decoder": (
        CASCADE | {"decoder_charge_settings": CHARGE | {"base_decoders": BASE_DECODER}},
        "base_decoders: NegativeBinomialDecoder has none",
    ),
    "a base that nobody uses": (
        CASCADE | {"decoder_settings": TIME | {"base_decoders": TIME["base_decoders"] | BASE_DECODER}},
        r"base_decoders\.a: is not used",
    ),
    "weights of a decoder": (CASCADE | {"decoder_settings": {"load_dir": "x"}}, "load_dir: decoders have no weights"),
}


@pytest.mark.parametrize("name", REFUSED_SECTIONS)
def test_keys_of_sections_that_would_do_nothing_are_refused(name):
    plain, message = REFUSED_SECTIONS[name]
    with pytest.raises(ConfigError, match=message):
        build_source(ModelSettings.model_validate(plain))


def test_a_missing_model_names_its_key():
    bases = {"cascade": {"load_dir": "nosuch"}}
    plain = section("IndependentMultiSource", bases, sources={"a": "cascade"})
    with pytest.raises(ConfigError, match=r"^model_settings\.multi_source_bases\.cascade\.load_dir: .*nosuch"):
        build_source(ModelSettings.model_validate(plain), None, load_model)


@pytest.mark.parametrize(
    ("term", "option"),
    [
        ("dom_charge_pdf", {"mpe_quantile": 0.2}),
        ("unbinned_pulse_time_llh", {"mpe_quantile": 0.2}),
        ("unbinned_pulse_time_mpe_llh", {"min_charge_quantile": 0.2}),
        ("dom_charge_pdf", {"max_charge_quantile": 0.5}),
        ("dom_charge_pdf", {"add_normalization_term": False}),
    ],
)
def test_options_of_other_terms_are_refused(term, option):
    (key,) = option
    settings = LossSettings.model_validate({"config": {"loss_function_name": term, **option}})
    with pytest.raises(ConfigError, match=f"loss_module_settings.config.{key}: {term} does not read it"):
        build_loss(settings)


def test_options_are_taken_by_their_own_terms():
    for term, option in (
        ("unbinned_pulse_time_mpe_llh", {"mpe_quantile": 0.2}),
        ("unbinned_charge_quantile_pdf", {"min_charge_quantile": 0.2, "max_charge_quantile": 0.5}),
        ("negative_binomial_charge_pdf", {"add_normalization_term": False}),
    ):
        (own,) = build_loss(LossSettings.model_validate({"config": {"loss_function_name": term, **option}})).terms
        assert dict(own.options) == option

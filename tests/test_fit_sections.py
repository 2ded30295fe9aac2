"""Which sections of a configuration a fit needs: `-r CONFIG` holds what it says, the training's sections are the rest."""

from types import SimpleNamespace

import pytest

from evgen_jax.cli.fit_settings import data_and_fit
from evgen_jax.config.validate import load_config
from evgen_jax.errors import ConfigError
from evgen_jax.training.export import with_fit_of

HANDLER = {
    "data_settings": {"pulse_key": "Pulses", "event_id_key": "Labels"},
    "label_settings": {"label_key": "Labels"},
}


@pytest.fixture
def model(loaded_detector):
    """Stands for a trained model, of which its settings and its detector are asked alone."""
    kept = {"data_handler_settings": HANDLER, "reconstruction_settings": {"seed": "Trained", "max_iterations": 7}}
    return SimpleNamespace(settings=kept, detector=loaded_detector)


def written(directory, text):
    path = directory / "fit.yaml"
    path.write_text(text)
    return (str(path),)


def test_a_section_alone_is_enough_and_the_other_is_that_of_the_training(model, tmp_path):
    handler, fit = data_and_fit("DIR", model, written(tmp_path, "reconstruction_settings: {seed: Mine}\n"))
    assert handler.data_settings.pulse_key == "Pulses" and (fit.seed, fit.max_iterations) == ("Mine", 200)
    handler, fit = data_and_fit(
        "DIR",
        model,
        written(
            tmp_path,
            "data_handler_settings: {data_settings: {pulse_key: Other, event_id_key: Labels}, label_settings: {label_key: L}}\n",
        ),
        ("reconstruction_settings.max_iterations=9",),
    )
    assert handler.data_settings.pulse_key == "Other" and (fit.seed, fit.max_iterations) == ("Trained", 9)


def test_a_whole_configuration_counts_as_it_stands(model, experiment):
    path = str(experiment / "config.yaml")
    handler, fit = data_and_fit("DIR", model, (path,))
    config = load_config(path)
    assert (handler, fit) == (config.data_handler_settings, config.reconstruction_settings)


@pytest.mark.parametrize(
    "text, settings, message",
    [
        ("reconstruction_settings: {seeed: a}", (), "reconstruction_settings.seeed: unknown key. .* Did you mean 'seed'"),
        ("recontruction_settings: {seed: a}", (), "recontruction_settings: unknown key. .* Did you mean 'reconstruction_settings'"),
        ("reconstruction_settings:", (), "reconstruction_settings: got None; expected a mapping"),
        ("training_settings: {num_training_iterations: 3}", (), "has neither data_handler_settings nor reconstruction_settings"),
        ("{}", (), "has neither data_handler_settings nor reconstruction_settings"),
        ("reconstruction_settings: {seed: a}", ("reconstruction_settings.parameter_boundaries.x=5",),
         "--set .*=5: reconstruction_settings.parameter_boundaries.x: got 5; expected a list"),
        ("reconstruction_settings: {make_1d_llh_scan: 1}", (), "reconstruction_settings.make_1d_llh_scan: unknown key"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_file_and_key(text, settings, message, model, tmp_path):
    with pytest.raises(ConfigError, match=rf"^{tmp_path}/fit.yaml.*: .*{message}|^{tmp_path}/fit.yaml.*{message}"):
        data_and_fit("DIR", model, written(tmp_path, text + "\n"), settings)


def test_the_settings_of_the_model_are_named_with_their_section(model):
    with pytest.raises(ConfigError, match=r"^DIR/model.json, --set .*: reconstruction_settings.seeed: unknown key"):
        data_and_fit("DIR", model, (), ("reconstruction_settings.seeed=a",))


def test_an_export_takes_fits_and_likelihood_of_a_file(experiment, tmp_path):
    config = load_config(experiment / "config.yaml")
    (path,) = written(tmp_path, "loss_module_settings: {config: {loss_function_name: dom_charge_pdf}}\n")
    (loss,) = with_fit_of(config, path).loss_module_settings
    assert loss.config["loss_function_name"] == "dom_charge_pdf"
    (path,) = written(tmp_path, "reconstruction_settings: {priors: {cascade_x: 5}}\n")
    with pytest.raises(
        ConfigError, match=r"fit.yaml: reconstruction_settings.priors.cascade_x: got 5; expected a mapping"
    ):
        with_fit_of(config, path)

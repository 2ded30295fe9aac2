"""A user's own source, decoder and loss term, as a page of docs/ shows them, in a file outside the package."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from conftest import write_config
from zoo import CASCADE, TIME

import evgen_jax as eg
from evgen_jax.building.analytic_sources import AnalyticNoiseModel
from evgen_jax.building.composite import IndependentMultiSource
from evgen_jax.building.decoders import DECODERS, read_decoder
from evgen_jax.building.described import own_classes
from evgen_jax.building.losses import build_loss, loss_records
from evgen_jax.building.model import build_source
from evgen_jax.building.record import OWN
from evgen_jax.building.sources import identity_trafo
from evgen_jax.config.records import DecoderSettings, LossSettings, ModelSettings
from evgen_jax.decoders import Family
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.measurement.event import build_event

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how_to" / "source_decoder_loss.md").read_text()
SOURCE, DECODER, LOSS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def run(command, registries):
    """Runs a command in which nobody has registered anything yet; returns its exit code and error output."""

    def one(*arguments):
        registries()
        code, _, err = command(*arguments)
        return code, err

    return one


@pytest.fixture
def files(tmp_path, detector):
    path = write_config(tmp_path, detector)
    text = path.read_text()
    start = text.index("model_settings: {", text.index("loss_module_settings"))
    names = "label_module: general.GeneralLabelModule, label_settings: {parameter_names: [x, y, z, time], "
    text = text[:start] + "model_settings: {model_class: Beacon}\n"
    text = text.replace("label_module: 'snowstorm.SnowstormCascadeGeneratorLabelModule',", "")
    text = text.replace("label_settings: {", names).replace("[False, False, False, False, False, True, False]", "False")
    text = text.replace("energy: [500.0, 5e3]", "time: [9500.0, 10500.0]")
    text = text.replace("loss_function_name: dom_charge_pdf", "loss_function_name: capped_dom_charge, largest: 30.0")
    path.write_text(text)
    (tmp_path / "beacon.py").write_text(SOURCE + LOSS)
    return path, tmp_path / "beacon.py"


def test_it_simulates_trains_exports_and_fits(files, tmp_path, run):
    config, own = files
    for arguments in (
        ("simulate", config, "-o", tmp_path / "events"),
        ("create-trafo", config),
        ("train", config),
        ("export", config, "-o", tmp_path / "exported"),
        ("reconstruct", tmp_path / "exported", tmp_path / "events" / "small_000002.hdf5", "-o", tmp_path / "fits.hdf5"),
    ):
        code, err = run("--sources", own, *arguments)
        assert code == 0, (arguments, err)
    # A model directory does not bring code along.
    code, err = run(
        "reconstruct", tmp_path / "exported", tmp_path / "events" / "small_000002.hdf5", "-o", tmp_path / "x.hdf5"
    )
    assert code == 2 and "' is unknown: a class of one's own, which beacon.py registers" in err
    assert "Traceback" not in err


def test_a_file_that_fails_is_named_with_its_line(tmp_path, run):
    own = tmp_path / "broken.py"
    own.write_text("import evgen_jax\n\nevgen_jax.no_such_thing\n")
    code, err = run("--sources", own, "train", "x.yaml")
    assert code == 2 and f"{own}: line 3: AttributeError" in err and "Traceback" not in err
    code, err = run("--sources", tmp_path / "none.py", "train", "x.yaml")
    assert code == 2 and "no such file" in err


def test_names_are_taken_once(registries):
    family = Family("F", ("a",), (), False, *[abs] * 7)
    for register, name, entry, what in (
        (eg.register_source, "DefaultCascadeModel", lambda: None, "source"),
        (eg.register_decoder, "MixtureModel", family, "decoder"),
        (eg.register_loss, "dom_charge_pdf", lambda light, event: None, "loss"),
    ):
        with pytest.raises(ConfigError, match=f"register_{what}: '{name}' is already the name of a {what}"):
            register(name, entry)
        with pytest.raises(ConfigError, match=f"register_{what}: expected a name such as 'Beacon', got 'a b'"):
            register("a b", entry)
        with pytest.raises(ConfigError, match=f"register_{what}: expected a .*, got 3"):
            register("Beacon", 3)


def test_a_decoder_of_ones_own_is_a_distribution_that_models_hold(registries, detector, tmp_path):
    exec(DECODER, {})  # noqa: S102 (the example itself)
    decoder = read_decoder(DecoderSettings(decoder_class="ExponentialDecoder", config={"offset": 0.5}), "d").build()
    latent, x = jnp.array([2.0]), jnp.linspace(0.6, 40.0, 4000)
    expected = scipy.stats.expon(loc=0.5, scale=2.0)
    np.testing.assert_allclose(decoder.pdf(x, latent), expected.pdf(x), rtol=1e-5)
    np.testing.assert_allclose(decoder.cdf(decoder.ppf(jnp.array([0.1, 0.9]), latent), latent), [0.1, 0.9], rtol=1e-5)
    assert float(decoder.mean(latent)) == 2.5 and float(decoder.variance(latent)) == 4.0
    with pytest.raises(ConfigError, match=r"d\.config\.ofset: unknown key.*Did you mean 'offset'"):
        read_decoder(DecoderSettings(decoder_class="ExponentialDecoder", config={"ofset": 0.5}), "d")

    # Beside others in a mixture of a model, which is saved and loaded.
    own = {
        "decoder_class": "ExponentialDecoder",
        "config": {
            "value_range_mapping": {"tau": {"value_range_class": "EluValueRange", "config": {"min_value": 0.01}}}
        },
    }
    times = {
        **TIME,
        "base_decoders": {**TIME["base_decoders"], "E": own},
        "config": {"decoder_mapping": {"AG": ["AG", 2, 1.0], "E": ["E", 1, 1.0]}},
    }
    plain = {**CASCADE, "decoder_settings": times, "config": {**CASCADE["config"], "num_filters_list": [6, 12]}}
    settings = ModelSettings.model_validate(plain)
    names = build_source(settings)[0].parameter_names
    trafo = identity_trafo(names)
    source, _ = build_source(settings, trafo)
    module = jax.tree.map(jnp.asarray, detector)
    model = eg.Model(source, source.init_variables(jax.random.key(0), module), trafo, module)
    assert eg.load_model(eg.save_model(model, tmp_path / "model")).source == source
    del DECODERS["ExponentialDecoder"], OWN["ExponentialDecoder"]
    with pytest.raises(
        EvgenError, match="'ExponentialDecoder' is unknown: a class of one's own, which <string> registers"
    ):
        eg.load_model(tmp_path / "model")


def test_a_loss_term_of_ones_own_has_its_options(registries):
    exec(LOSS, {})  # noqa: S102 (the example itself)
    section = {"loss_function_name": "capped_dom_charge", "largest": 2.0}
    loss = build_loss(LossSettings(config=section, loss_module_weight=3.0))
    event = build_event([4.0, 1.0], [100.0, 120.0], [1, 2], num_doms=3, readout=(0.0, 1000.0))
    charge = jnp.array([0.5, 3.0, 1.0])
    light = eg.LightYield(charge, charge, 0 * charge, jnp.ones_like(event.pulses.time))
    term = charge - np.array([0.0, 4.0, 1.0]) * np.log(charge)
    assert float(loss(light, event)) == pytest.approx(3 * float(np.sum(2 * np.tanh(term / 2))), rel=1e-5)
    assert [r.section() for r in loss_records(loss)][0]["config"] == section
    with pytest.raises(ConfigError, match=r"loss_module_settings\.config\.larges: unknown key.*Did you mean 'largest'"):
        build_loss(LossSettings(config={"loss_function_name": "capped_dom_charge", "larges": 2.0}))


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            {"density": np.ones((64, 1))},
            r"source Lamp: density of its light has the shape \(64, 1\); expected \(64,\), one .* pulse",
        ),
        (
            {"charge": np.float32(1)},
            r"source Lamp: charge of its light has the shape \(\); expected \(3,\), one number per DOM",
        ),
        (None, "source Lamp: expected a LightYield from __call__, got a tuple"),
    ],
)
def test_light_of_other_shapes_is_told(wrong, message, detector):
    charge = np.ones(3)
    right = eg.LightYield(charge, charge, charge, np.ones(64))

    class Lamp(eg.LinenSource):
        parameter_names = ("x", "y", "z", "time")

        def __call__(self, hypothesis, event, detector, cumulative=False):
            return (charge, charge) if wrong is None else right.replace(**wrong)

    event = build_event([4.0, 1.0], [100.0, 120.0], [1, 2], num_doms=3, readout=(0.0, 1000.0))
    with pytest.raises(ConfigError, match=message):
        Lamp().light_yield({}, np.zeros(4), event, detector)


def test_settings_of_a_source_of_ones_own(registries, detector, tmp_path):
    names: dict = {}
    exec(SOURCE, names)  # noqa: S102 (the example itself)

    class Lamp(names["Beacon"]):
        """A lamp for so many nanoseconds."""

        duration: float = 10.0

    record = eg.register_source("Lamp", Lamp)
    plain = {"model_class": "Lamp", "config": {"duration": 20.0}}
    source, _ = build_source(ModelSettings.model_validate(plain))
    assert source == Lamp(duration=20.0) == record(duration=20.0).build()
    with pytest.raises(ConfigError, match=r"model_settings\.config\.duratio: unknown key.*Did you mean 'duration'"):
        build_source(ModelSettings.model_validate({"model_class": "Lamp", "config": {"duratio": 20.0}}))
    # An instance of the class that a model was composed of, alone and beside others.
    module = jax.tree.map(jnp.asarray, detector)
    lamps = IndependentMultiSource(
        sources={"a": "lamp", "b": "noise"},
        multi_source_bases={"lamp": record(duration=20.0), "noise": AnalyticNoiseModel()},
    )
    for number, own in enumerate((Lamp(duration=20.0), lamps.build())):
        trafo = identity_trafo(own.parameter_names)
        model = eg.Model(own, own.init_variables(jax.random.key(0), module), trafo, module)
        loaded = eg.load_model(eg.save_model(model, tmp_path / str(number)))
        assert loaded.source == own and own_classes(loaded.settings) == {"Lamp": "test_own_source.py"}
    # A function that makes a source takes settings as well, but what it makes has no record.
    eg.register_source("AnyLamp", lambda **settings: Lamp(**settings))
    assert build_source(ModelSettings(model_class="AnyLamp", config={"duration": 5.0}))[0] == Lamp(duration=5.0)
    with pytest.raises(ConfigError, match="AnyLamp refuses .'length'"):
        build_source(ModelSettings(model_class="AnyLamp", config={"length": 5.0}))


def test_a_class_without_light_is_no_source():
    with pytest.raises(ConfigError, match="register_source: the class object makes no source: it has no light_yield"):
        eg.register_source("Nothing", object)

"""Models composed in Python: the records of configurations, saved and loaded like any other model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import CASCADE, CHARGE, NOISE, TIME, ZOO, section, settings_of

import evgen_jax as eg
from evgen_jax.building import decoders as d
from evgen_jax.building import losses, zoo
from evgen_jax.building.model import build_source, read_model
from evgen_jax.building.value_ranges import EluValueRange
from evgen_jax.config.records import LossSettings, ModelSettings
from evgen_jax.errors import ConfigError, EvgenError, ModelDirectoryError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.prior import NormalPrior
from evgen_jax.hypothesis.snowstorm import snowstorm_priors
from evgen_jax.hypothesis.trafo import Trafo, typical_trafo
from evgen_jax.measurement.event import build_event
from evgen_jax.model.likelihood import Loss, LossTerm


def trafo_of(names) -> Trafo:
    return typical_trafo(read_parameters(names))


def elu(**values):
    return EluValueRange(**values)


CHARGES = d.NegativeBinomialDecoder(value_range_mapping={"alpha": elu(offset=-5.0, min_value=1e-4)})
TIMES = d.MixtureModel(
    decoder_mapping={"AG": ("AG", 2, 1.0)},
    base_decoders={
        "AG": d.AsymmetricGaussianDecoder(
            value_range_mapping={"sigma": elu(offset=-2.0, min_value=0.02), "r": elu(offset=1.0, min_value=1e-4)}
        )
    },
)
SHOWER = zoo.DefaultCascadeModel(
    num_filters_list=[6, 6, 10],
    scale_charge_by_angular_acceptance=True,
    decoder_settings=TIMES,
    decoder_charge_settings=CHARGES,
)
DARK = zoo.DefaultNoiseModel(decoder_charge_settings=CHARGES)
SUM = zoo.IndependentMultiSource(
    sources={"event": "start", "n": "n"},
    multi_source_bases={
        "start": zoo.StartingVariableMultiCascadeModel(num_cascades=3, multi_source_bases={"cascade": SHOWER}),
        "n": DARK,
    },
)


def model_of(record, detector, loss=None, **changes) -> eg.Model:
    """A model with weights that matter."""
    detector = jax.tree.map(jnp.asarray, detector)
    trafo = trafo_of(record.build().parameter_names)
    source = record.build(trafo)
    variables = source.init_variables(jax.random.key(1), detector)
    variables = jax.tree.map(lambda x: x + 0.05 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), variables)
    return eg.Model(source, variables, changes.get("trafo", trafo), detector, *([] if loss is None else [loss]))


def test_python_and_files_make_the_same_source():
    def source(plain):
        return build_source(ModelSettings.model_validate(plain))[0]

    assert SHOWER.build() == source(CASCADE) and DARK.build() == source(NOISE)
    start = section("StartingVariableMultiCascadeModel", {"cascade": CASCADE}, num_cascades=3)
    assert SUM.build() == source(
        section("IndependentMultiSource", {"start": start, "n": NOISE}, sources={"event": "start", "n": "n"})
    )
    assert TIMES.section()["config"] == TIME["config"] and CHARGES.section() == CHARGE


@pytest.mark.parametrize("name", ZOO)
def test_every_source_of_the_zoo_has_its_record(name):
    """From the section and from the source itself; both make it again, with the normalisation of the whole."""
    settings = settings_of(name)
    trafo = trafo_of(build_source(settings)[0].parameter_names)
    source, _ = build_source(settings, trafo)
    for record in (read_model(settings), zoo.record_of(source)):
        assert record.build(trafo) == source
        again = ModelSettings.model_validate(record.section())
        assert build_source(again, trafo)[0] == source and read_model(again).section() == record.section()


def test_a_nested_model_made_in_python_is_the_same_after_loading(detector, tmp_path):
    priors = tuple((0.5, prior) for prior in snowstorm_priors((0.1,), {"Absorption": (0.9, 1.1)}))
    loss = Loss(
        (LossTerm("unbinned_pulse_time_mpe_llh", (("mpe_quantile", 0.3),)), LossTerm("dom_charge_pdf", (), 2.0)), priors
    )
    model = model_of(SUM, detector, loss)
    loaded = eg.load_model(eg.save_model(model, tmp_path / "model"))
    assert (loaded.source, loaded.loss, loaded.trafo) == (model.source, model.loss, model.trafo)
    event = build_event(
        np.array([1.0, 0.5, 2.0]), np.array([10010.0, 10100.0, 10300.0]), np.array([40, 41, 41]), num_doms=108
    )
    hypothesis = np.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0, 500.0, 30.0, 100.0, 60.0], np.float32)
    # The same program on the same numbers.
    value = jax.jit(lambda m: eg.log_likelihood(m, hypothesis, event))
    assert float(value(model)) == float(value(loaded)) and np.isfinite(float(value(model)))
    # Parts are models of their own, and a loaded model is saved like any other.
    part = eg.load_model(tmp_path / "model" / "start" / "cascade")
    assert part.source == dict(dict(model.source.bases)["start"].bases)["cascade"]
    assert eg.load_model(eg.save_model(loaded, tmp_path / "again")).source == model.source


def test_a_trained_model_is_a_base(detector, tmp_path):
    cascade = model_of(SHOWER, detector)
    record = zoo.IndependentMultiSource(sources={"a": "c", "n": "n"}, multi_source_bases={"c": cascade, "n": DARK})
    assert dict(record.build(trafo_of([f"a_{n}" for n in cascade.parameter_names])).bases)["c"] is cascade.source
    assert record.weights()["c"] is cascade.variables and record.weights()["n"] is None


class Unknown(eg.LinenSource):
    """A source that nobody registered."""

    parameter_names = ("x",)


def test_what_cannot_be_saved_is_told_and_leaves_nothing(detector, tmp_path):
    model = model_of(SHOWER, detector)
    moved = Trafo(model.trafo.parameter_names, (1.0,) * 7, (2.0,) * 7, (False,) * 7)
    own = eg.Model(Unknown(), {}, trafo_of(["x"]), model.detector)
    prior = eg.Model(
        model.source,
        model.variables,
        model.trafo,
        model.detector,
        Loss((LossTerm("dom_charge_pdf"),), ((1.0, NormalPrior("energy", 0.0, 0.1)),)),
    )
    for wrong, message in (
        (
            own,
            "a source of the class Unknown has no name in configurations. Register its class with eg.register_source",
        ),
        (
            eg.Model(model.source, model.variables, moved, model.detector),
            "must be normalised by the `trafo` of the model",
        ),
        (prior, "the priors of energy cannot be written into a configuration"),
    ):
        with pytest.raises(ModelDirectoryError, match="this model cannot be saved: ") as caught:
            eg.save_model(wrong, tmp_path / "model")
        assert message in str(caught.value) and not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="an ensemble is saved member by member"):
        eg.save_model(eg.Ensemble([model, model]), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_read_back_as_it_was_is_not_made(detector, tmp_path):
    """The settings of a configuration beside another source, as approximations have."""
    model = model_of(SHOWER, detector)
    other = zoo.DefaultCascadeModel(**{**dict(SHOWER), "add_anisotropy_angle": False})
    wrong = eg.Model(
        model.source,
        model.variables,
        model.trafo,
        model.detector,
        settings={"model_settings": other.section(), "loss_module_settings": []},
    )
    with pytest.raises(EvgenError):
        eg.save_model(wrong, tmp_path / "model")
    turned = zoo.DefaultCascadeModel(**{**dict(SHOWER), "opening_angle_as_cosine": True})  # the same weights fit
    wrong.settings["model_settings"] = turned.section()
    with pytest.raises(ModelDirectoryError, match="its source is not the one that its settings make"):
        eg.save_model(wrong, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_any_error_leaves_nothing(detector, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("of whatever kind")

    model = model_of(SHOWER, detector)
    monkeypatch.setattr(type(model.detector), "to_csv", fail)
    with pytest.raises(RuntimeError):
        eg.save_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: zoo.DefaultCascadeModel(num_filters_list=[6, 10]),
            "DefaultCascadeModel.decoder_charge_settings: is missing",
        ),
        (lambda: zoo.DefaultNoiseModel(decoder_charge_settings=CHARGES, flux=1), "DefaultNoiseModel.flux: unknown key"),
        (
            lambda: zoo.AnalyticSphereTrackModel(sphere_radius=-1.0),
            "AnalyticSphereTrackModel.sphere_radius: expected a number > 0",
        ),
        (lambda: zoo.AnalyticSphereTrackModel(sphere_radis=300.0), "Did you mean 'sphere_radius'?"),
        (
            lambda: zoo.DefaultNoiseModel(decoder_charge_settings=CHARGES.build()),
            "expected the record of a decoder, as Gamma",
        ),
        (
            lambda: zoo.IndependentMultiSource(sources={"a": "b"}, multi_source_bases={"c": DARK}),
            "IndependentMultiSource: source 'a' uses the base 'b', which",
        ),
        (
            lambda: d.RationalQuadraticSplineDecoder(num_bins=0),
            "num_bins: expected a whole number from 1 to 100, got 0",
        ),
        (
            lambda: d.MixtureModel(decoder_mapping={"a": ("b", 1, 1.0)}),
            "MixtureModel.decoder_mapping.a: base 'b' is not in",
        ),
        (lambda: losses.LOSS_TERMS["dom_charge_pdf"](mpe_quantile=0.1), "dom_charge_pdf.mpe_quantile: unknown key"),
    ],
)
def test_wrong_records_are_one_line(make, message):
    with pytest.raises(EvgenError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_losses_have_their_records():
    for name, record in losses.LOSS_TERMS.items():
        given = {
            k: {"add_normalization_term": False}.get(k, 0.25) for k in record.config_keys() if k != "float_precision"
        }
        loss = losses.make_loss(record(loss_module_weight=0.5, **given), losses.SnowstormPriorLossModule())
        sections = [entry.section() for entry in losses.loss_records(loss)]
        assert losses.build_loss(tuple(LossSettings(**plain) for plain in sections)) == loss
        assert loss.terms[0].name == name and dict(loss.terms[0].options) == given and loss.terms[0].weight == 0.5

"""Hypotheses of simulated events, their tables, and priors."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import write_config

from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.building.experiment import create_trafo
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source
from evgen_jax.config.records import LossSettings, ModelSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.hypothesis.joint_prior import check_priors
from evgen_jax.hypothesis.origin import counted_from_readout
from evgen_jax.hypothesis.parameters import column_names, further_cascades, loss_parameters, standard_parameters
from evgen_jax.hypothesis.prior import NormalPrior, SoftUniformPrior
from evgen_jax.hypothesis.snowstorm import snowstorm_priors
from evgen_jax.model.expectation import dom_expectation
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.physics.muon import IONISATION, RADIATION, energy_after
from evgen_jax.reconstruction.unfolding import unfold_energies
from evgen_jax.report.plots.expected import expected_arrivals
from evgen_jax.simulation.draw import draw_hypotheses, parameter_ranges, smeared_seeds
from evgen_jax.simulation.events import LANE, EventSampler
from evgen_jax.simulation.simulate import simulate
from evgen_jax.training.run import train

TRACK = ("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth")

ICE = 0.9216
"""Density of South Pole ice."""


def under(source, *parameters):
    """Parameters as part of a joint hypothesis."""
    return tuple(parameter.under(source) for own in parameters for parameter in own)


def test_tracks_enter_their_sphere_and_fill_it_evenly():
    rng = np.random.default_rng(0)
    parameters = under("track", standard_parameters(TRACK))
    values = draw_hypotheses(rng, parameters, parameter_ranges(parameters, {}), 20000)
    entry = np.stack(
        [
            np.sin(values[:, 0]) * np.cos(values[:, 1]),
            np.sin(values[:, 0]) * np.sin(values[:, 1]),
            np.cos(values[:, 0]),
        ],
        axis=1,
    )
    flight = -np.stack(
        [
            np.sin(values[:, 4]) * np.cos(values[:, 5]),
            np.sin(values[:, 4]) * np.sin(values[:, 5]),
            np.cos(values[:, 4]),
        ],
        axis=1,
    )
    inwards = np.sum(entry * flight, axis=1)
    assert np.all(inwards < 0)
    impact = np.linalg.norm(np.cross(entry, flight), axis=1) / 0.9
    np.testing.assert_allclose(np.quantile(impact**2, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02)
    np.testing.assert_allclose(np.mean(np.cos(values[:, 4])), 0, atol=0.02)


def test_energy_losses_have_the_mean_of_a_muon():
    parameters = under("track", standard_parameters(TRACK), loss_parameters(20))
    rng = np.random.default_rng(1)
    values = draw_hypotheses(rng, parameters, parameter_ranges(parameters, {"entry_energy": (1e5, 1e5)}), 4000, 10.0)
    losses = values[:, 6:]
    assert np.all(losses >= 0) and np.all(losses.sum(axis=1) <= 1e5)
    expected = 1e5 - float(energy_after(jnp.array(1e5), jnp.array(200.0), ICE)) - IONISATION * ICE * 200
    assert losses.sum(axis=1).mean() == pytest.approx(expected, rel=0.05)
    assert pytest.approx(losses[:, 0].mean(), rel=0.15) == RADIATION * ICE * 1e5 * 10


def test_bright_events_take_several_lanes_and_have_all_their_light(loaded_detector):
    """One program serves all events; photoelectrons of further lanes are further ones."""
    model = analytic_model(loaded_detector)
    hypotheses = np.array([[20.0, -30, 15, 1.1, 2.0, energy, 9900] for energy in (2e3, 200.0, 4e4, 1e3, 1e5)])
    drawn = EventSampler(model, (0.0, 20000.0), batch=4)(hypotheses, jax.random.key(1), False, np.random.default_rng(0))
    counts = np.bincount(drawn["event"], minlength=5)
    assert counts[4] > 3 * LANE > 4 * counts[1] > 0
    for i, hypothesis in enumerate(hypotheses):
        expected = dom_expectation(model, hypothesis, [9900.0], (0.0, 20000.0)).charge.sum()
        assert abs(counts[i] - expected) < 5 * np.sqrt(expected)
        own = drawn["event"] == i
        assert len(np.unique(np.stack([drawn["dom"][own], drawn["time"][own]]), axis=1).T) > 0.99 * counts[i]
    # What is drawn does not depend on how many lanes are drawn together.
    again = EventSampler(model, (0.0, 20000.0), batch=1)(hypotheses, jax.random.key(1), False, np.random.default_rng(0))
    order = [np.lexsort((d["time"], d["dom"], d["event"])) for d in (drawn, again)]
    for name in ("event", "dom"):
        np.testing.assert_array_equal(drawn[name][order[0]], again[name][order[1]])
    np.testing.assert_allclose(drawn["time"][order[0]], again["time"][order[1]], atol=0.01)


def test_photoelectrons_of_one_module_are_merged_as_readouts_do(tmp_path, detector, loaded_detector):
    """Charges stay, times are averaged, and merged events tell where the light was as all photoelectrons do."""
    files = {}
    for name, setting in (("all", ()), ("merged", ("simulation_settings.merge_pulses=1.0",))):
        (tmp_path / name).mkdir()
        config = load_config(write_config(tmp_path / name, detector), setting)
        config = config.model_copy(
            update={"simulation_settings": config.simulation_settings.model_copy(update={"num_events": 4})}
        )
        (files[name], *_) = simulate(config, tmp_path / name / "events")
    events = {
        name: read_event_file(path, config.data_handler_settings, loaded_detector) for name, path in files.items()
    }
    model, fewer = analytic_model(loaded_detector), 0
    value = jax.jit(jax.value_and_grad(lambda h, event: log_likelihood(model, h, event)))
    for i, truth in enumerate(events["all"].labels):
        every, merged = (events[name].event(i) for name in ("all", "merged"))
        np.testing.assert_allclose(merged.charge, every.charge, rtol=1e-5)
        assert np.sum(merged.pulses.mask) <= np.sum(every.pulses.mask)
        fewer += int(np.sum(every.pulses.mask) - np.sum(merged.pulses.mask))
        (first, slope), (second, other) = (value(jnp.asarray(truth, jnp.float32), event) for event in (every, merged))
        # Of sums over some hundred photoelectrons; the gradient by the coordinates in 1/m is known to 1 / (error of a coordinate).
        assert abs(float(first - second)) < 0.5 and np.all(np.abs(np.asarray(slope - other)[:3]) < 0.02)
    assert fewer > 20
    with pytest.raises(DataError, match="merge_pulses"):
        simulate(config, tmp_path / "all" / "events")


def test_ranges_and_seed_columns():
    own = under("cascade", standard_parameters(["x", "energy"]), further_cascades(1, 2)[:1])
    ranges = parameter_ranges(own, {"energy": (10.0, 20.0), "cascade_cascade_00001_energy": (1.0, 2.0)})
    np.testing.assert_array_equal(ranges, [[-500, 500], [10, 20], [1, 2]])
    with pytest.raises(ConfigError, match="Did you mean 'cascade_energy'"):
        parameter_ranges(own, {"cascade_enrgy": (1.0, 2.0)})
    with pytest.raises(ConfigError, match="expected low <= high, got"):
        parameter_ranges(own, {"energy": (0.0, 2.0)})
    with pytest.raises(ConfigError, match="ranges.cascade_colour: is missing"):
        parameter_ranges(under("cascade", standard_parameters(["colour"])), {})
    assert column_names(own) == ("x", "energy", "cascade_00001_energy")
    assert column_names(standard_parameters(["entry_zenith", "zenith"])) == ("entry_zenith", "zenith")
    x = standard_parameters(["x"])
    assert column_names(under("a", x) + under("b", x)) == ("a_x", "b_x")
    seeds = smeared_seeds(np.random.default_rng(0), own, np.array([[1.0, 10.0, 20.0]] * 3))
    assert list(seeds) == ["x", "energy", "cascade_00001_energy"] and np.all(seeds["energy"] > 0)


def test_several_cascades_are_simulated_and_trained(tmp_path, detector):
    """A starting hypothesis with ice properties: events of its analytic counterpart, labels in two tables, two steps."""
    path = write_config(tmp_path, detector)
    text = path.read_text()
    cascade = text[text.index("        cascade: {\n") : text.rindex("    },\n}")]
    cascade = cascade.replace(
        "config: {num_filters", "config: {snowstorm_parameter_names: [Absorption, Scattering], num_filters"
    )
    start = text.index("model_settings: {", text.index("loss_module_settings"))
    text = text[:start] + (
        "model_settings: {model_class: egenerator.model.multi_source.independent.IndependentMultiSource,\n"
        "config: {sources: {cascade: start, noise: noise}}, multi_source_bases: {noise: {model_class: DefaultNoiseModel,"
        " decoder_charge_settings: {decoder_class: PoissonDecoder}}, start: {model_class: "
        "egenerator.model.multi_source.muon.StartingVariableMultiCascadeModel, config: {num_cascades: 2},\n"
        f"multi_source_bases: {{\n{cascade}}}}}}}}}\n"
    )
    text = text.replace(
        "label_settings: {label_key: LabelsMCCascade,",
        "label_settings: {label_key: LabelsMCCascade, "
        "snowstorm_parameters: [], additional_labels: [Absorption, Scattering, cascade_00001_energy, "
        "cascade_00001_distance],",
    )
    text = text.replace(
        "[False, False, False, False, False, True, False]",
        "[False, False, False, False, False, True, False, False, False, True, False]",
    )
    text = text.replace("num_events: 60, events_per_file: 20", "num_events: 12, events_per_file: 4")
    text = text.replace("num_training_iterations: 12", "num_training_iterations: 2").replace("!!float 1e-4", "1e-4")
    path.write_text(text)
    config = load_config(path)
    (file, *_) = simulate(config, tmp_path / "events")
    with h5py.File(file) as events:
        assert {"cascade_00001_distance", "Absorption"} <= set(events["LabelsMCCascade"].dtype.names)
        assert {"x", "cascade_00001_energy", "Scattering"} <= set(events["SmearedSeed"].dtype.names)
    labels = read_event_file(file, config.data_handler_settings, detector).labels
    assert labels.shape == (4, 11) and np.all((labels[:, 7:9] >= 0.9) & (labels[:, 7:9] <= 1.1))
    create_trafo(config)
    assert int(train(config, progress=False).step) == 2


def test_counterparts_have_the_same_parameters():
    from zoo import ZOO, settings_of

    for name in ZOO:
        settings = settings_of(name)
        other = analytic_counterpart(settings, lambda path: None)
        assert build_source(other)[0].parameter_names == build_source(settings)[0].parameter_names, name
    with pytest.raises(ConfigError, match="model_settings.model_class: 'Lamp' is unknown"):
        analytic_counterpart(ModelSettings(model_class="Lamp"), lambda path: None)


def test_a_model_without_weights_has_none_whatever_its_section_says(loaded_detector):
    """A learned section would have made one of random weights."""
    from zoo import CASCADE

    settings = ModelSettings.model_validate(CASCADE)
    model = analytic_model(loaded_detector, settings)
    assert not jax.tree.leaves(model.variables) and model.parameter_names == build_source(settings)[0].parameter_names
    section = ModelSettings.model_validate(model.settings["model_settings"])
    assert section == analytic_counterpart(settings, lambda path: None)  # as saved


def test_walls_of_a_uniform_prior():
    walls = SoftUniformPrior("Absorption", 0.9, 1.1)

    def prior(value):
        return -walls.log_density(value)

    inside = [float(prior(jnp.array(v))) for v in (0.9, 0.95, 1.0, 1.1)]
    assert inside == [0, 0, 0, 0]
    expected = np.exp(10 * (0.05 / 0.2 + 1)) - np.exp(10)
    for value in (1.15, 0.85):
        assert float(prior(jnp.array(value))) == pytest.approx(expected, rel=1e-4)
    slopes = [float(jax.grad(prior)(jnp.array(v))) for v in (1.15, 0.85, -1e3, 1e6)]
    assert slopes[0] > 0 > slopes[1] and np.all(np.isfinite(slopes)) and slopes[2] < 0 < slopes[3]
    assert np.isfinite(float(prior(jnp.array(1e6))))


def test_priors_of_a_loss(x64):
    section = {
        "loss_module": "egenerator.loss.snowstorm.SnowstormPriorLossModule",
        "loss_module_weight": 2.0,
        "config": {
            "sigmas": [0.1, 0.2],
            "uniform_parameters": {"Absorption": [0.9, 1.1], "Scattering": [0.913, 1.087]},
        },
    }
    loss = build_loss((LossSettings(config={"loss_function_name": "dom_charge_pdf"}), LossSettings(**section)))
    own = under(
        "cascade", standard_parameters(["x", "Absorption", "Scattering", "IceWavePlusModes_00", "IceWavePlusModes_01"])
    )
    h = jnp.array([5.0, 1.12, 1.0, 0.05, -0.3])
    gauss = sum(0.5 * (v / s) ** 2 + np.log(s * np.sqrt(2 * np.pi)) for v, s in ((0.05, 0.1), (-0.3, 0.2)))
    wall = np.exp(10 * (0.02 / 0.2 + 1)) - np.exp(10)
    assert float(loss.penalty(own, h)) == pytest.approx(2 * (gauss + wall))
    check_priors([p for _, p in loss.priors], own)
    with pytest.raises(ConfigError, match="'IceWavePlusModes_01' finds no such parameter"):
        check_priors([p for _, p in loss.priors], own[:-1])
    usual = snowstorm_priors(None, None)
    assert sum(isinstance(p, NormalPrior) for p in usual) == 24
    check_priors(usual, own[:1])  # the usual ones concern the parameters that are there
    with pytest.raises(ConfigError, match=r"priors.Absorption: expected low < high, got \[1.1, 0.9\]"):
        snowstorm_priors([], {"Absorption": [1.1, 0.9]})
    with pytest.raises(ConfigError, match="expected a width > 0"):
        snowstorm_priors([0.0], {})


@pytest.mark.parametrize("offset", [pytest.param(1e8, marks=pytest.mark.nightly), 1e12])
def test_times_of_any_size_are_simulated_unfolded_and_drawn(loaded_detector, offset):
    """What is computed in float32 counts times from the begin of the readout: adding one number changes the light nowhere."""
    model = analytic_model(loaded_detector)
    hypothesis = np.array([[10.0, 5.0, -20.0, 1.0, 0.5, 1000.0, 10000.0]])
    late = hypothesis + [[0, 0, 0, 0, 0, 0, offset]]
    (early_event,) = EventSampler(model, (0.0, 2e4)).events(hypothesis, jax.random.key(0))
    (late_event,) = EventSampler(model, (offset, offset + 2e4)).events(late, jax.random.key(0))
    # The late hypothesis is rounded to float64, 1e-4 ns at 1e12.
    own = np.asarray(early_event.pulses.mask)
    np.testing.assert_allclose(late_event.pulses.time[own] - offset, early_event.pulses.time[own], atol=1e-2)
    np.testing.assert_array_equal(late_event.charge, early_event.charge)
    assert own.sum() > 100 and tuple(late_event.readout) == (offset, offset + 2e4)

    doms, times = np.argsort(-np.asarray(early_event.charge))[:5], np.tile(np.linspace(9900.0, 12000.0, 200), (5, 1))
    views = [
        expected_arrivals(model, event, h[0], doms, times + more)
        for event, h, more in ((early_event, hypothesis, 0), (late_event, late, offset))
    ]
    assert np.asarray(views[0].pdf).max(axis=1).min() > 1e-4
    np.testing.assert_allclose(views[1].pdf, views[0].pdf, rtol=1e-3, atol=1e-8)
    unfolded = [unfold_energies(model, h[0], event) for event, h in ((early_event, hypothesis), (late_event, late))]
    np.testing.assert_allclose(unfolded[1].energies, unfolded[0].energies, rtol=1e-3)
    np.testing.assert_array_equal(unfolded[1].hypothesis[6], late[0, 6])
    with pytest.raises(DataError, match="names of the parameters when do not tell whether they are times"):
        counted_from_readout(standard_parameters(["x", "when"]), late[0, :2], late_event)

"""Models that Event-Generator trained become models: from small exports of the same layout."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_export as theirs
import yaml
from conftest import write_config
from scipy.special import gammaln
from test_parity import COMPACT, compare_light, event_of

import evgen_jax as eg
from evgen_jax.building.experiment import build_model
from evgen_jax.building.named_models import load_model
from evgen_jax.config.reader import read_yaml
from evgen_jax.config.validate import load_config
from evgen_jax.data.labels import CASCADE as LABELS
from evgen_jax.data.writer import write_events
from evgen_jax.errors import EvgenError
from evgen_jax.importing.event_generator import import_model
from evgen_jax.model.terms import TERMS, floored, log_charge_probability
from evgen_jax.physics.geometry import shower_maximum
from evgen_jax.training.run import train


def both(**config) -> dict:
    return theirs.independent({"cascade": theirs.cascade(**config), "noise": theirs.noise()})


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    """An export of a cascade with noise."""
    return theirs.export(tmp_path_factory.mktemp("theirs") / "export", both())


@pytest.fixture(scope="module")
def imported(export, tmp_path_factory) -> Path:
    """The model directory that is made of it."""
    return import_model(export).save(tmp_path_factory.mktemp("ours") / "model")


HYPOTHESIS = [20.0, -30.0, 15.0, 1.1, 2.0, 3e4, 9900.0]


def an_event(model, hypothesis=HYPOTHESIS):
    """Pulses at the ten modules that are nearest, some 100 ns after the first light."""
    distance = np.linalg.norm(np.asarray(model.detector.position) - np.array(hypothesis[:3]), axis=1)
    near = np.argsort(distance)[:10]
    time = hypothesis[-1] + distance[near] / 0.221 + 100
    string, om = np.asarray(model.detector.string)[near], np.asarray(model.detector.om)[near]
    return eg.Event.from_pulses(np.full(10, 1.5), time, string, om, detector=model.detector)


# What is imported -----------------------------------------------------------------------------------------------------


def test_every_number_finds_its_place(export, imported):
    model = load_model(imported)
    assert model.parameter_names == tuple(
        f"cascade_{n}" for n in ("x", "y", "z", "zenith", "azimuth", "energy", "time")
    )
    arrays = theirs.cascade()["arrays"]
    weights = model.variables["cascade"]["params"]["DomNetwork_0"]
    place = int(np.flatnonzero((model.detector.string == 7) & (model.detector.om == 33))[0])
    np.testing.assert_array_equal(weights["layer_00_bias"][place], arrays[0][6, 32])
    np.testing.assert_array_equal(weights["layer_00_kernel"][place], arrays[1][6, 32])
    for layer, number in ((1, 3), (2, 6)):
        np.testing.assert_array_equal(weights[f"layer_{layer:02d}_bias"], arrays[number])
        np.testing.assert_array_equal(weights[f"layer_{layer:02d}_kernel"], arrays[number + 1][0, 0])
    np.testing.assert_array_equal(weights["layer_00_residual_scale"], arrays[2])
    np.testing.assert_array_equal(weights["layer_01_residual_scale"], arrays[5])
    np.testing.assert_array_equal(model.variables["noise"]["params"]["local_vars"], theirs.noise()["arrays"][0])
    assert (model.trafo.mean, model.trafo.std) == (tuple(theirs.MEAN), tuple(theirs.STD))
    assert model.trafo.log == tuple(theirs.LOG) and model.trafo.norm_constant == 1e-6
    assert [term.name for term in model.loss.terms] == ["unbinned_pulse_time_llh", "dom_charge_pdf"]
    settings = json.loads((imported / "model.json").read_text())
    assert settings["settings"]["unique_name"] == "small"
    assert settings["settings"]["reconstruction_settings"]["reco_output_file"] == "/data/small/fits.hdf5"
    assert settings["settings"]["data_handler_settings"]["data_settings"]["pulse_key"] == "MCPulses"
    (origin,) = settings["training_history"]
    assert origin["imported_from"] == str(export / "models_0000") and origin["training_steps"] == 7
    assert origin["class"].endswith("IndependentMultiSource") and origin["event_generator"] == "2.0.0-dev"


@pytest.mark.parametrize(("kind", "name"), [("cascade", "model"), ("track", "track")])
def test_imported_weights_give_the_numbers_of_the_reference(kind, name, tmp_path):
    """Weights of its own networks at some modules, written as an export: its light, densities and their cumulative form."""
    z, meta = np.load(COMPACT / f"{kind}.npz"), json.loads((COMPACT / f"{kind}.json").read_text())["model_settings"]
    doms, last = z["doms"], len(meta["config"]["num_filters_list"]) - 1
    arrays = []
    for i in range(last + 1):
        layer = f"weights/{name}/layer_{i:02d}"
        own = [z[f"{layer}/{k}"] for k in ("biases", "kernel_lc" if i == 0 else "kernel_conv")]
        if i == 0:  # of the other modules nothing is known
            spread = [np.zeros((5160, *values.shape[1:]), np.float32) for values in own]
            for all_doms, values in zip(spread, own, strict=True):
                all_doms[doms] = values
            own = [values.reshape(86, 60, *values.shape[1:]) for values in spread]
        arrays += own + ([z[f"{layer}/residual_scale"]] if i < last else [])
    trafo = [z[f"weights/trafo/{name}/x_parameters_{k}"].tolist() for k in ("mean", "std", "trafo_log")]
    parts = {
        "data_trafo": theirs.trafo(*trafo),
        "decoder": decoder(meta["decoder_settings"]),
        "decoder_charge": decoder(meta["decoder_charge_settings"]),
    }
    own = theirs.component(meta["model_class"], meta["config"], parts, arrays=arrays)
    model = import_model(theirs.export(tmp_path / "export", own)).model
    detector = model.detector.modules(doms)
    variables = jax.tree.map(lambda a: a[doms] if a.shape[:1] == (5160,) else a, model.variables)
    with jax.enable_x64(True):  # the times; the network is float32

        @jax.jit
        def light_of(h, event):
            return floored(model.source.light_yield(variables, h, event, detector, True))

        for e in range(2):
            event, order = event_of(z, e, doms)
            light = light_of(jnp.asarray(z["in/x_parameters"][e], jnp.float64), event)
            compare_light(z, e, light, event, order, "float32")


def decoder(settings: dict) -> dict:
    bases = {name: decoder(base) for name, base in settings.get("base_decoders", {}).items()}
    return theirs.component(settings["decoder_class"], settings["config"], bases, arrays=[])


def test_parts_load_alone_and_give_the_light_of_the_whole(export, imported, tmp_path):
    whole, part = load_model(imported), load_model(imported / "cascade")
    assert part.parameter_names == ("x", "y", "z", "zenith", "azimuth", "energy", "time")
    event, h = an_event(part), jnp.array(HYPOTHESIS)
    noise = load_model(imported / "noise")
    light = [m.source.light_yield(m.variables, h[: len(m.parameter_names)], event, m.detector) for m in (part, noise)]
    total = whole.source.light_yield(whole.variables, h, event, whole.detector)
    np.testing.assert_allclose(total.charge, light[0].charge + light[1].charge, rtol=1e-6)
    np.testing.assert_allclose(total.density, light[0].density + light[1].density, rtol=1e-6)
    # A part of the export is imported as well, with the settings of the whole.
    alone = import_model(export / "models_0000" / "cascade")
    loaded = load_model(alone.save(tmp_path / "cascade"))
    assert loaded.source == part.source and loaded.loss == whole.loss
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, part.variables)


def test_nested_parts_have_the_normalisation_that_they_were_trained_with(tmp_path):
    """A cascade that was trained alone inside starting cascades; and one that has that of the whole, of which it takes the first."""
    inside = theirs.cascade()
    inside["parts"]["data_trafo"] = theirs.trafo([v + 1 for v in theirs.MEAN], theirs.STD, theirs.LOG)
    inherited = theirs.cascade()
    labels = {
        "label_module": "snowstorm_cascades.SnowstormCascadeGeneratorLabelModule",
        "label_settings": {"additional_labels": ["cascade_00001_energy", "cascade_00001_distance"]},
        "data_settings": {"pulse_key": "a", "event_id_key": "b"},
    }
    wide = theirs.starting(inherited)["parts"]["data_trafo"] | {
        "beside": {"data_handler": {"mutable_settings": {"config": labels}}}
    }
    inherited["parts"]["data_trafo"] = wide
    for number, (base, shift) in enumerate(((inside, 1), (inherited, 0))):
        joint = theirs.starting(base)["parts"]["data_trafo"]
        content = theirs.independent({"muon": theirs.starting(base), "noise": theirs.noise()})
        content["parts"]["data_trafo"] = joint
        directory = theirs.export(tmp_path / f"export{number}", content)
        out = import_model(directory).save(tmp_path / f"out{number}")
        model, cascade = load_model(out), load_model(out / "muon" / "cascade")
        assert model.parameter_names[:2] == ("muon_x", "muon_y") and len(model.parameter_names) == 9
        assert model.parameter_names[7:] == ("muon_cascade_00001_energy", "muon_cascade_00001_distance")
        assert cascade.trafo.mean == tuple(v + shift for v in theirs.MEAN)
        assert dict(dict(model.source.bases)["muon"].bases)["cascade"].trafo.mean == cascade.trafo.mean
    with pytest.raises(EvgenError, match="data.pickle: is of 9 parameters, the model has 7: x, y, z"):
        del wide["beside"]
        import_model(theirs.export(tmp_path / "unknown", inherited))


def test_ensembles_are_imported_as_ensembles(tmp_path, command):
    directory = theirs.export(tmp_path / "export", theirs.cascade(seed=1), theirs.cascade(seed=2))
    code, out, err = command("import", directory, "-o", tmp_path / "out")
    assert code == 0 and f"wrote {tmp_path}/out: 2 models, the first: DefaultCascadeModel after 7 steps" in out, err
    assert "- ensemble: the mean of 2 log-likelihoods" in out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["models_0000", "models_0001"]
    members = [load_model(tmp_path / "out" / f"models_{i:04d}") for i in range(2)]
    for seed, member in enumerate(members, 1):
        bias = member.variables["params"]["DomNetwork_0"]["layer_01_bias"]
        np.testing.assert_array_equal(bias, theirs.cascade(seed=seed)["arrays"][3])
    assert isinstance(import_model(directory).model, eg.Ensemble)
    with pytest.raises(EvgenError, match="other: ensemble: model 1 has the parameters cascade_x, .*the first one x, "):
        import_model(theirs.export(tmp_path / "other", theirs.cascade(), both()))


def test_options_that_weights_depend_on_are_taken_over(tmp_path):
    """Trained inputs of modules, told by their shape wherever they stand, and the table of the acceptance."""
    own = theirs.cascade(
        inputs=17, num_local_vars=2, add_dom_angular_acceptance=True, scale_charge_by_angular_acceptance=True
    )
    own["config"] |= {"snowstorm_parameter_names": []}
    inputs = np.random.default_rng(3).normal(size=(1, 86, 60, 2)).astype(np.float32)
    for number, place in enumerate((0, len(own["arrays"]))):
        arrays = own["arrays"].copy()
        arrays.insert(place, inputs)
        found = import_model(theirs.export(tmp_path / f"export{number}", own | {"arrays": arrays}))
        variables = found.model.variables["params"]
        np.testing.assert_array_equal(variables["local_vars"][60 * 3 + 4], inputs[0, 3, 4])
        np.testing.assert_array_equal(variables["DomNetwork_0"]["layer_02_bias"], own["arrays"][6])
        assert found.model.source.options.angular_acceptance == "table"
        (text,) = [text for text in found.told if text.startswith("angular acceptance")]
        assert "add_dom_angular_acceptance and scale_charge_by_angular_acceptance had it in the training" in text


# How it goes on -------------------------------------------------------------------------------------------------------


def write_file(path: Path, detector) -> Path:
    """Four events of cascades with random pulses near their light."""
    rng = np.random.default_rng(5)
    event, dom = np.repeat(np.arange(4), 30), rng.integers(5160, size=120)
    pulses = {
        "event": event,
        "string": np.asarray(detector.string)[dom],
        "om": np.asarray(detector.om)[dom],
        "time": 10000 + rng.gamma(2, 500, 120),
        "charge": rng.uniform(0.3, 2, 120),
    }
    labels = dict(zip(LABELS, np.tile(HYPOTHESIS, (4, 1)).T, strict=True))
    bad = ~np.asarray(detector.usable)
    tables = {"BadDomsList": (np.asarray(detector.string)[bad], np.asarray(detector.om)[bad])}
    write_events(
        path, 0, 4, pulses, {"LabelsMCCascade": labels}, pulse_key="MCPulses", dom_tables=tables, notice="random"
    )
    return path


def test_training_goes_on_from_imported_parts(imported, detector, tmp_path):
    """Named by `load_dir` as in the configurations of Event-Generator, with models_0000 between a model and its parts."""
    values = read_yaml(write_config(tmp_path, detector))
    file = write_file(tmp_path / "events.hdf5", load_model(imported).detector)
    for iterator in values["data_iterator_settings"].values():
        iterator |= {"input_data": str(file), "batch_size": 4}
    values["detector_settings"] = {"geometry": "icecube86"}
    values["data_handler_settings"]["data_settings"]["readout_window_key"] = None
    values["data_trafo_settings"]["model_dir"] = str(imported)
    values["training_settings"] |= {"num_training_iterations": 2, "optimizer_settings": {"learning_rate": 1e-3}}
    values["model_settings"]["multi_source_bases"] = {
        "cascade": {"load_dir": f"{imported}/models_0000/cascade"},
        "noise": {"load_dir": f"{imported}/noise"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    config = load_config(tmp_path / "config.yaml")
    before = load_model(imported)
    assert build_model(config).source == before.source
    state = train(config)
    assert int(state.step) == 2
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before.variables, state.variables)
    largest = max(jax.tree.leaves(moved))
    assert 0 < largest < 0.01 and all(np.isfinite(leaf) for leaf in jax.tree.leaves(moved))


# Its own numbers ------------------------------------------------------------------------------------------------------


def test_losses_of_event_generator_follow_from_those_of_one_source(export):
    """Alone, a cascade differs in the unit of time and in the floor of probabilities."""
    terms = ("unbinned_pulse_time_llh", "unbinned_extended_pulse_llh", "negative_binomial_charge_pdf")
    terms += ("normalized_dom_charge_pdf", "negative_binomial_event_charge_pdf")
    model = import_model(export / "models_0000" / "cascade").model
    with jax.enable_x64(True):
        event, h = an_event(model), jnp.array(HYPOTHESIS)

        @jax.jit
        def both_ways(model, h, event):
            light = floored(model.source.light_yield(model.variables, h, event, model.detector, True))
            own = {name: TERMS[name](light, event).total() for name in terms}
            return eg.event_generator_losses(model, h, event), own, log_charge_probability(light, event)

        found, own, probability = both_ways(model, h, event)
    charge = float(event.pulses.charge.sum())
    for name in terms:
        expected = float(own[name]) - ("_pulse_" in name) * charge * np.log(1000)
        assert float(found[name]) == pytest.approx(expected, rel=1e-6), name
    floor = np.log(1e-37)
    expected = -np.sum(np.maximum(probability, floor)[np.asarray(event.usable)])
    assert float(found["dom_charge_pdf"]) == pytest.approx(float(expected), rel=1e-6)
    flagged = import_model(export / "models_0000" / "cascade", densities_per_microsecond=True).model
    with jax.enable_x64(True):
        again = jax.jit(eg.event_generator_losses)(flagged, h, event)
    for name, value in found.items():
        assert float(again[name]) == pytest.approx(float(value), rel=1e-6), name


def test_losses_of_event_generator_have_its_sum_of_cascade_and_noise(export):
    """Beside an independent computation: densities in two units, means of components multiplied by their weights."""
    model = import_model(export).model
    cascade, noise = dict(model.source.bases)["cascade"], model.source.bases[1][1]
    with jax.enable_x64(True):
        event, h = an_event(model), jnp.array(HYPOTHESIS)

        @jax.jit
        def parts_and_sum(model, h, event):
            light = cascade.light_yield(model.variables["cascade"], h, event, model.detector)
            dark = noise.light_yield(model.variables["noise"], h[:0], event, model.detector)
            return light, dark, eg.event_generator_losses(model, h, event)

        light, dark, found = parts_and_sum(model, h, event)
    raw = np.asarray(model.variables["noise"]["params"]["local_vars"], float).reshape(3, 3)  # mu, alpha, weight of each
    start, stop = map(float, event.readout)
    base = np.asarray(model.detector.noise_rate, float)[:, None] * (stop - start)
    weight = np.where(raw[:, 2] + 1 > 0, raw[:, 2] + 2, np.exp(raw[:, 2] + 1)) + 1e-5
    weight = weight / weight.sum()
    mean = base * np.exp(raw[:, 0]) + 1e-7
    alpha = np.exp(raw[:, 1] - 5) + 1e-4
    q, excess = np.asarray(light.charge, float)[:, None] + 1e-7, np.asarray(light.excess, float)[:, None]
    means = q + weight * mean
    variances = q + excess + weight * (mean + alpha * mean**2)
    shares = weight * mean / (weight * mean).sum(axis=1, keepdims=True)
    r = 1 / np.maximum((variances - means) / means**2, 1e-6)
    n = np.asarray(event.charge, float)[:, None]
    probability = (shares * np.exp(nbinom_logpmf(n, r, means))).sum(axis=1)
    usable = np.asarray(event.usable)
    expected = -np.log(np.maximum(probability, 1e-37))[usable].sum()
    assert float(found["dom_charge_pdf"]) == pytest.approx(expected, rel=1e-5)
    place = np.asarray(event.active)[np.asarray(event.pulses.slot)]
    of_light = 1000 * np.asarray(light.density, float)
    of_noise = (
        np.asarray(dark.density, float) / np.asarray(dark.charge, float)[place] * (weight * mean).sum(axis=1)[place]
    )
    density = (of_light + of_noise) / (q[:, 0] + (weight * mean).sum(axis=1))[place]
    real = np.asarray(event.pulses.mask)
    expected = -np.sum(np.asarray(event.pulses.charge, float)[real] * np.log(density[real]))
    assert float(found["unbinned_pulse_time_llh"]) == pytest.approx(expected, rel=1e-5)
    total = found["dom_charge_pdf"] + found["unbinned_pulse_time_llh"]
    assert float(found["unbinned_pulse_and_dom_charge_pdf"]) == pytest.approx(float(total))


def nbinom_logpmf(n, r, mean):
    """For real counts, as gamma functions have it."""
    return gammaln(n + r) - gammaln(r) - gammaln(n + 1) - r * np.log1p(mean / r) + n * np.log(mean / (r + mean))


def test_only_sources_of_event_generator_have_its_numbers():
    with pytest.raises(EvgenError, match="is no source of Event-Generator"):
        model = load_model("icecube86-table")
        eg.event_generator_losses(model, jnp.array(HYPOTHESIS), an_event(model))


# What is told ---------------------------------------------------------------------------------------------------------


def test_time_does_not_move_with_the_vertex_and_may_keep_its_unit(export):
    """The two keys that stand for what the weights learned and for numbers to compare."""
    model = import_model(export / "models_0000" / "cascade").model
    source, variables, event = model.source, model.variables, an_event(model)
    assert not source.geometry.shift_cascade_time
    both = replace(source, geometry=replace(source.geometry, shift_cascade_time=True))
    later = jnp.array(HYPOTHESIS) + jnp.zeros(7).at[6].set(shower_maximum(HYPOTHESIS[5]) / 0.299792458)
    unmoved = source.light_yield(variables, later, event, model.detector, True)
    moved = both.light_yield(variables, jnp.array(HYPOTHESIS), event, model.detector, True)
    np.testing.assert_allclose(unmoved.density, moved.density, rtol=1e-4)
    np.testing.assert_allclose(unmoved.cumulative, moved.cumulative, rtol=1e-4)
    compared = import_model(export / "models_0000" / "cascade", densities_per_microsecond=True).model
    theirs_light = compared.source.light_yield(variables, later, event, model.detector, True)
    np.testing.assert_allclose(theirs_light.density, 1000 * unmoved.density, rtol=1e-6)
    np.testing.assert_array_equal(theirs_light.charge, unmoved.charge)
    np.testing.assert_array_equal(theirs_light.cumulative, unmoved.cumulative)


def test_what_differs_is_told_and_nothing_else(export, tmp_path, command):
    code, out, _ = command("import", export, "-o", tmp_path / "out", "--densities-per-microsecond")
    assert code == 0 and "per microsecond, beside those of noise per ns, as there" in out
    model = load_model(tmp_path / "out")
    assert dict(model.source.bases)["cascade"].options.density_per_microsecond
    told = [line.split(":")[0] for line in out.splitlines() if line.startswith("- ")]
    assert told == [
        "- time densities",
        "- time of the shower maximum",
        "- mixture of charges",
        "- excluded time windows",
        "- charges",
        "- modules without a noise rate",
    ]
    alone = theirs.cascade(shift_cascade_vertex=False)
    found = import_model(theirs.export(tmp_path / "alone", alone))
    assert [text.split(":")[0] for text in found.told] == ["time densities", "charges"]
    assert found.origins[0]["differences"] == list(found.told)
    assert "noise beside light" in " ".join(import_model(export).told)


# Where the settings stand ---------------------------------------------------------------------------------------------


def test_a_training_has_its_loss_with_itself(export, tmp_path, command):
    directory = shutil.copytree(export, tmp_path / "training")
    (directory / "reco_config.yaml").rename(tmp_path / "config.yaml")
    told = yaml.safe_load((tmp_path / "config.yaml").read_text())
    for step, name in enumerate(("dom_charge_pdf", "negative_binomial_charge_pdf"), 1):
        run = directory / "models_0000" / "training" / f"step_{step:04d}"
        run.mkdir(parents=True)
        told["loss_module_settings"] = {"loss_module": "DefaultLossModule", "config": {"loss_function_name": name}}
        # What Event-Generator adds to a configuration does not matter.
        (run / "training_config.yaml").write_text(
            yaml.safe_dump(told | {"git_sha": "abc", "pip_installed_packages": [["a", "1"]]})
        )
    assert [t.name for t in import_model(directory).model.loss.terms] == ["negative_binomial_charge_pdf"]
    code, _, err = command("import", directory, "-o", tmp_path / "out", "-r", tmp_path / "config.yaml")
    assert code == 0, err
    assert [t.name for t in load_model(tmp_path / "out").loss.terms] == ["unbinned_pulse_time_llh", "dom_charge_pdf"]
    code, _, err = command("import", directory, "-o", tmp_path / "other", "-r", tmp_path / "none.yaml")
    assert code == 2 and "none.yaml: no such configuration file" in err

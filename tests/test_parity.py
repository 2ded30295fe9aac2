"""Agreement with the numbers measured on the reference program, and the right values where that is wrong.

A compact part of the numbers lies in `tests/reference`; tests marked `complete` read all of them and skip without.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax.building.decoders import build_decoder
from evgen_jax.building.model import build_source
from evgen_jax.config.records import DecoderSettings, ModelSettings
from evgen_jax.decoders import FAMILIES, Decoder
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import load_detector
from evgen_jax.measurement.event import build_event
from evgen_jax.measurement.padding import repad
from evgen_jax.model.terms import TERMS, floored, log_charge_probability, pulse_cdf, pulse_pdf
from evgen_jax.physics.acceptance import ACCEPTANCES
from evgen_jax.physics.constants import CHARGE_FLOOR
from evgen_jax.physics.geometry import shower_maximum
from evgen_jax.sources.learned.noise import NoiseSource
from evgen_jax.sources.learned.track import PARAMETERS

COMPACT = Path(__file__).parent / "reference"
COMPLETE = Path(__file__).parent.parent.parent / "shared" / "reference"
complete = pytest.mark.skipif(not COMPLETE.is_dir(), reason="needs the complete reference numbers")
SOURCES = [COMPACT, pytest.param(COMPLETE, marks=complete)]
CLASSES = {
    "asymmetric_gaussian": "AsymmetricGaussianDecoder",
    "gamma": "GammaFunctionDecoder",
    "shifted_gamma": "ShiftedGammaFunctionDecoder",
    "poisson": "PoissonDecoder",
    "negative_binomial": "NegativeBinomialDecoder",
}


# Decoders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("family", CLASSES)
def test_decoder(source, family, x64):
    z = np.load(source / "decoders.npz")
    decoder = Decoder(FAMILIES[CLASSES[family]])
    key = f"{family}/float64/"
    x, latent = jnp.asarray(z[key + "x"]), jnp.asarray(z[key + "latent"])
    log_pdf = np.asarray(decoder.log_pdf(x, latent))
    inside = np.asarray(x) >= 0 if decoder.is_charge else z[key + "pdf"] > 1e-200
    if "gamma" in family:
        # At 0 its densities are infinite for shapes below 1; here the support is x > 0.
        inside &= z[key + "x"] != (z[key + "latent"][..., 2] if family == "shifted_gamma" else 0)
    if family == "negative_binomial":
        # Its lgamma(x + 1 / alpha) - lgamma(1 / alpha) loses digits as alpha falls, and so does an oracle of that form.
        inside &= z[key + "latent"][..., 1] > 1e-6
    np.testing.assert_allclose(log_pdf[inside], z[key + "log_pdf"][inside], rtol=1e-6, atol=1e-6)
    # Its mean of a shifted gamma leaves out the shift.
    shift = latent[..., 2] if family == "shifted_gamma" else 0.0
    np.testing.assert_allclose(decoder.mean(latent) - shift, z[key + "expectation"], rtol=1e-12)
    if key + "variance" in z.files:
        np.testing.assert_allclose(decoder.variance(latent), z[key + "variance"], rtol=1e-12)
    if key + "cdf" in z.files:
        np.testing.assert_allclose(decoder.cdf(x, latent), np.clip(z[key + "cdf"], 0, 1), atol=1e-9)
    if key + "ppf" in z.files:
        q = z[key + "q"]
        within = (q > 1e-9) & (q < 1 - 1e-9)
        own, latent = np.asarray(decoder.ppf(jnp.asarray(q), latent[: len(q)])), np.asarray(latent[: len(q)])
        np.testing.assert_allclose(own[within], z[key + "ppf"][within], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["mix_tiny_time", "mix_default_time"])
def test_time_mixture(source, name, x64):
    z = np.load(source / "decoders.npz")
    settings = json.loads((COMPACT / "cascade.json").read_text())["model_settings"]["decoder_settings"]
    if name == "mix_default_time":
        settings["config"]["decoder_mapping"] = {
            "AssymetricGaussian": ["AssymetricGaussian", 7, 1.0],
            "GammaFunction": ["GammaFunction", 5, 10.0],
        }
    mixture = build_decoder(DecoderSettings(**settings))
    key = f"{name}/float64/"
    x, latent = jnp.asarray(z[key + "x"]), jnp.asarray(z[key + "latent"])
    visible = z[key + "log_pdf"] > -60
    own = np.asarray(mixture.log_pdf(x, latent))
    np.testing.assert_allclose(own[visible], z[key + "log_pdf"][visible], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(mixture.cdf(x, latent), np.clip(z[key + "cdf"], 0, 1), atol=1e-6)
    np.testing.assert_allclose(mixture.mean(latent), z[key + "expectation"], rtol=1e-6)


# Learned sources -----------------------------------------------------------------------------------------------------

FOLDERS = {"cascade": ("cascade_tiny", "model"), "track": ("track_sphere", "track")}


def learned(directory: Path, dtype: str, kind: str = "cascade"):
    """Source, weights, detector and the DOM numbers that it consists of."""
    compact, (folder, name) = directory == COMPACT, FOLDERS[kind]
    meta = json.loads((COMPACT / f"{kind}.json").read_text())
    stored = np.load(directory / f"{kind}.npz" if compact else directory / folder / "weights.npz")
    weights = {k.removeprefix("weights/"): stored[k] for k in stored.files}
    settings = meta["model_settings"]
    settings["config"]["float_precision"] = dtype
    key = f"trafo/{name}/x_parameters_"
    values = (tuple(weights[key + k].tolist()) for k in ("mean", "std", "trafo_log"))
    names = tuple(n.removeprefix(f"{name}_") for n in meta["parameter_names"])
    source, _ = build_source(ModelSettings(**settings), Trafo(names, *values))
    doms = stored["doms"] if compact else np.arange(5160)
    detector = jax.tree.map(lambda x: x[doms], load_detector())
    if dtype == "float64":  # the package's table is float32, a shift of up to 24 micrometres
        coordinates = stored["coordinates"] if compact else np.load(directory / "utils.npz")["detector/x_coords"]
        detector = detector.replace(position=coordinates.reshape(-1, 3))
    params, last = {}, len(source.network.widths) - 1
    for i in range(last + 1):
        layer = f"{name}/layer_{i:02d}/"
        kernel, bias = weights[layer + ("kernel_lc" if i == 0 else "kernel_conv")], weights[layer + "biases"]
        shape = (len(doms),) if i == 0 else ()
        params[f"layer_{i:02d}_kernel"] = kernel.reshape(*shape, *kernel.shape[-2:])
        params[f"layer_{i:02d}_bias"] = bias.reshape(*shape, bias.shape[-1])
        if i < last:
            params[f"layer_{i:02d}_residual_scale"] = weights[layer + "residual_scale"]
    variables = {"params": {"DomNetwork_0": {k: jnp.asarray(v, dtype) for k, v in params.items()}}}
    return source, variables, detector, doms


def event_of(z, e: int, doms: np.ndarray):
    """Event number e and the order of its pulses among those of the tables."""
    place = np.full(5160, -1)
    place[doms] = np.arange(len(doms))
    ids, pulses = z["in/x_pulses_ids"], z["in/x_pulses"].astype(float)
    m = ids[:, 0] == e
    dom = place[(ids[m, 1].astype(int) * 60 + ids[m, 2])]
    more = {}
    if "in/x_time_exclusions" in z.files:
        w = z["in/x_time_exclusions_ids"][:, 0] == e
        labels = z["in/x_time_exclusions_ids"][w].astype(int)
        more = {
            "windows": z["in/x_time_exclusions"][w].astype(float),
            "window_dom": place[labels[:, 1] * 60 + labels[:, 2]],
        }
    usable = z["in/x_dom_exclusions"][e].ravel() if "in/x_dom_exclusions" in z.files else None
    event = build_event(
        pulses[m, 0],
        pulses[m, 1],
        dom,
        num_doms=len(doms),
        usable=usable,
        readout=tuple(z["in/x_time_window"][e]),
        drop_in_windows=False,
        **more,
    )
    return event, np.flatnonzero(m)[np.lexsort((pulses[m, 1], dom))]


def padding(event) -> tuple[int, int, int]:
    return event.pulses.charge.shape[0], event.active.shape[0], event.windows.start.shape[0]


def unshifted(h):
    """Its shift to the shower maximum moves the vertex but not the time: undo ours of the time."""
    return h.at[6].add(-shower_maximum(h[5]) / 0.299792458)


def compare_light(z, e, light, event, order, dtype, nested=""):
    z = {
        k.replace(f"out/{nested}", "out/"): z[k]
        for k in z.files
        if not nested or not k.startswith("out/") or nested in k
    }
    tolerance = 2e-5 if dtype == "float32" else 1e-6

    def compare(own, expected, worst):
        """Within the tolerance; in float32 one value in a hundred may be `worst`, where both programs round."""
        error = np.abs(np.asarray(own) / expected - 1)
        assert np.quantile(error, 0.99) < tolerance and error.max() < (worst if dtype == "float32" else tolerance)

    compare(light.charge, z["out/dom_charges"][e].ravel(), 4e-5)
    compare(light.charge + light.excess, z["out/dom_charges_variance"][e].ravel(), 4e-5)
    expected, n = z["out/pulse_pdf"][order] / 1000, len(order)  # per microsecond there
    visible = expected > 1e-25
    # Float32 times of 1e4 ns are good to 5e-4 ns, which shows in the steepest flanks of the reference's densities.
    compare(np.asarray(pulse_pdf(light, event))[:n][visible], expected[visible], 2e-4)
    if "out/dom_cdf_exclusion" in z:
        kept = np.asarray((light.charge - CHARGE_FLOOR) / (light.charge_full - CHARGE_FLOOR))
        np.testing.assert_allclose(1 - kept, z["out/dom_cdf_exclusion"][e].ravel(), atol=tolerance)
    cdf = np.clip(z["out/pulse_cdf"][order], 0, 1)
    np.testing.assert_allclose(np.asarray(pulse_cdf(light, event))[:n], cdf, atol=tolerance)
    if dtype == "float64":  # in float32 its charge pdf has lost its digits
        expected = z["out/dom_charges_pdf"][e].ravel()
        visible = expected > 1e-290
        own = np.asarray(log_charge_probability(light, event))
        np.testing.assert_allclose(own[visible], np.log(expected[visible]), rtol=1e-6, atol=5e-6)


def test_cascade_with_exclusions(x64):
    z = np.load(COMPACT / "cascade.npz")
    source, variables, detector, doms = learned(COMPACT, "float64")
    function = jax.jit(lambda h, event: floored(source.light_yield(variables, unshifted(h), event, detector, True)))
    for e in range(2):
        event, order = event_of(z, e, doms)
        compare_light(z, e, function(jnp.asarray(z["in/x_parameters"][e]), event), event, order, "float64")


CASES = [("none", "float32"), ("dom", "float32"), ("domtw", "float32"), ("none", "float64"), ("domtw", "float64")]


@complete
@pytest.mark.slow
@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_cascade_light_losses_and_gradients(case, dtype, x64):
    z = np.load(COMPLETE / "cascade_tiny" / f"{case}{'_f64' if dtype == 'float64' else ''}.npz")
    source, variables, detector, doms = learned(COMPLETE, dtype)

    def losses(h, event):
        light = floored(source.light_yield(variables, unshifted(h), event, detector, True))
        return {k: f(light, event).total() for k, f in TERMS.items()}, light

    function = jax.jit(losses)
    compared = ("unbinned_pulse_time_llh", "negative_binomial_charge_pdf", "normalized_dom_charge_pdf")
    gradient = jax.jit(jax.jacrev(lambda h, event: {k: losses(h, event)[0][k] for k in compared}))
    total, charge = dict.fromkeys(TERMS, 0.0), 0.0
    pairs = [event_of(z, e, doms) for e in range(6)]
    sizes = [max(shape) for shape in zip(*(padding(event) for event, _ in pairs), strict=True)]
    for e, (event, order) in enumerate(pairs):
        event, h = repad(event, *sizes), jnp.asarray(z["in/x_parameters"][e], jnp.float64)
        values, light = function(h, event)
        total = {k: total[k] + float(v) for k, v in values.items()}
        charge += float(event.pulses.charge[: len(order)].sum())
        compare_light(z, e, light, event, order, dtype)
        slopes = gradient(h, event)
        for name in compared:
            # Some of its float64 gradients are NaN; ours never are.
            assert np.all(np.isfinite(slopes[name]))
            keep = np.isfinite(z[f"grad_x/{name}"][e])
            reference = z[f"grad_x/{name}"][e][keep]
            # Float32: sums of thousands of terms that cancel; its own two precisions differ by as much.
            rtol = 2e-3 if dtype == "float32" else 1e-6
            np.testing.assert_allclose(slopes[name][keep], reference, rtol=rtol, atol=rtol * np.abs(reference).max())
    # Per ns instead of per microsecond: ln 1000 per PE.
    shift = charge * np.log(1000)
    exact = {
        "unbinned_pulse_time_llh": shift,
        "unbinned_extended_pulse_llh": shift,
        "normalized_dom_charge_pdf": 0.0,
        "negative_binomial_charge_pdf": 0.0,
        "negative_binomial_event_charge_pdf": 0.0,
    }
    if dtype == "float64":  # in float32 its probabilities underflow
        exact |= {"dom_charge_pdf": 0.0, "unbinned_pulse_and_dom_charge_pdf": shift}
    for name, offset in exact.items():
        tolerance = 2e-5 if dtype == "float32" else 1e-6
        assert total[name] == pytest.approx(float(z[f"loss/{name}"]) + offset, rel=tolerance), name


def table_acceptance(cos_eta, p0, p1):
    """The reference interpolates linearly in a table of the acceptance; ours is the formula that made the table."""
    table = jnp.asarray(np.load(COMPACT / "utilities.npz")["dom_acceptance/y_ref"])
    axes = ((-1.0, 1.0, 30), (-0.5, 0.5, 20), (-0.15, 0.05, 20))
    place = [
        jnp.broadcast_to((v - low) / (high - low) * (n - 1), cos_eta.shape)
        for v, (low, high, n) in zip((cos_eta, p0, p1), axes, strict=True)
    ]
    return jax.scipy.ndimage.map_coordinates(table, place, order=1, mode="nearest").astype(cos_eta.dtype)


@pytest.mark.parametrize("source_of", SOURCES)
def test_track(source_of, x64, monkeypatch):
    """The track alone."""
    monkeypatch.setitem(ACCEPTANCES, "formula", table_acceptance)
    complete_files = source_of == COMPLETE
    z = np.load(COMPLETE / "track_sphere" / "domtw.npz" if complete_files else COMPACT / "track.npz")
    source, variables, detector, doms = learned(source_of, "float32", "track")
    assert source.parameter_names == PARAMETERS
    function = jax.jit(lambda h, event: floored(source.light_yield(variables, h, event, detector, True)))
    for e in range(len(z["in/x_parameters"])):
        event, order = event_of(z, e, doms)
        light = function(jnp.asarray(z["in/x_parameters"][e]), event)
        compare_light(z, e, light, event, order, "float32", "nested_results/track/" if complete_files else "")


# Noise --------------------------------------------------------------------------------------------------------------


@complete
def test_noise_beside_a_track():
    directory = COMPLETE / "track_sphere"
    meta, weights = json.loads((directory / "meta.json").read_text()), np.load(directory / "weights.npz")
    settings = meta["model_settings"]["multi_source_bases"]["noise"]
    source, _ = build_source(ModelSettings(**settings))
    assert isinstance(source, NoiseSource)
    z = np.load(directory / "dom.npz")
    local = next(weights[k] for k in weights.files if "noise" in k and k.endswith("local_vars"))
    variables = {"params": {"local_vars": jnp.asarray(local.ravel())}}
    detector = load_detector()
    prefix = "out/nested_results/noise/"
    for e in range(len(z["in/x_parameters"])):
        event, order = event_of(z, e, np.arange(5160))
        light = floored(source.light_yield(variables, jnp.zeros(0), event, detector, True))
        np.testing.assert_allclose(light.charge, z[prefix + "dom_charges"][e].ravel(), rtol=2e-5, atol=2e-7)
        own = np.asarray(pulse_pdf(light, event))[: len(order)]
        # A DOM without noise makes no noise pulse; there its density is that of all other DOMs.
        noisy = detector.noise_rate[event.active[event.pulses.slot[: len(order)]]] > 0
        np.testing.assert_allclose(own[noisy], z[prefix + "pulse_pdf"][order][noisy], rtol=2e-5)
        assert np.all(own[~noisy] == 0)

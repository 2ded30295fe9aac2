"""Parity with the numbers measured on the reference program; skipped where they are not at hand."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax.build import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.detector import load_detector
from evgen_jax.event import build_event
from evgen_jax.geometry import shower_maximum
from evgen_jax.likelihood import TERMS, TermOptions, floored, log_charge_probability, pulse_cdf, pulse_pdf
from evgen_jax.trafo import Trafo

REFERENCE = Path(__file__).parent.parent.parent / "shared" / "reference" / "cascade_tiny"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the reference numbers")
CASES = [("none", "float32"), ("dom", "float32"), ("domtw", "float32"), ("none", "float64"), ("domtw", "float64")]


def model(dtype: str):
    meta, weights = json.loads((REFERENCE / "meta.json").read_text()), np.load(REFERENCE / "weights.npz")
    settings = meta["model_settings"]
    settings["config"]["float_precision"] = dtype
    key = "trafo/model/x_parameters_"
    trafo = Trafo(
        tuple(meta["parameter_names"]), *(tuple(weights[key + k].tolist()) for k in ("mean", "std", "trafo_log"))
    )
    source, _ = build_source(ModelSettings(**settings), trafo)
    params = {}
    for i in range(5):
        layer = f"model/layer_{i:02d}/"
        kernel = weights[layer + ("kernel_lc" if i == 0 else "kernel_conv")]
        params[f"layer_{i:02d}_kernel"] = kernel.reshape(5160, 14, 25) if i == 0 else kernel[0, 0]
        bias = weights[layer + "biases"]
        params[f"layer_{i:02d}_bias"] = bias.reshape(5160, 25) if i == 0 else bias
        if i < 4:
            params[f"layer_{i:02d}_residual_scale"] = weights[layer + "residual_scale"]
    return source, {"params": {"DomNetwork_0": {k: jnp.asarray(v, dtype) for k, v in params.items()}}}


def event_of(z, e):
    ids, pulses = z["in/x_pulses_ids"], z["in/x_pulses"].astype(float)
    m = ids[:, 0] == e
    dom = (ids[m, 1] * 60 + ids[m, 2]).astype(int)
    more = {}
    if "in/x_time_exclusions" in z.files:
        w = z["in/x_time_exclusions_ids"][:, 0] == e
        labels = z["in/x_time_exclusions_ids"][w].astype(int)
        more = {"windows": z["in/x_time_exclusions"][w].astype(float), "window_dom": labels[:, 1] * 60 + labels[:, 2]}
    usable = z["in/x_dom_exclusions"][e].ravel() if "in/x_dom_exclusions" in z.files else None
    event = build_event(pulses[m, 0], pulses[m, 1], dom, num_doms=5160, usable=usable,
                        readout=tuple(z["in/x_time_window"][e]), **more)  # fmt: skip
    return event, np.flatnonzero(m)[np.lexsort((pulses[m, 1], dom))]


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_cascade_tiny(case, dtype):
    z = np.load(REFERENCE / f"{case}{'_f64' if dtype == 'float64' else ''}.npz")
    tolerance = 2e-5 if dtype == "float32" else 1e-6
    with jax.enable_x64(True):
        source, variables = model(dtype)
        detector = load_detector()

        def losses(h, event):
            light = floored(source.light_yield(variables, h, event, detector, True))
            return {k: f(light, event, TermOptions()).total() for k, f in TERMS.items()}, light

        function = jax.jit(losses)
        gradient = jax.jit(jax.jacrev(lambda h, event: losses(h, event)[0]))
        total = dict.fromkeys(TERMS, 0.0)
        charge = 0.0
        for e in range(6):
            event, order = event_of(z, e)
            h = z["in/x_parameters"][e].astype(np.float64)
            # The reference shifts the vertex to the shower maximum but not the time (README: differences).
            h[6] -= float(shower_maximum(jnp.asarray(h[5]))) / 0.299792458
            values, light = function(h, event)
            total = {k: total[k] + float(v) for k, v in values.items()}
            n = len(order)
            charge += float(event.pulses.charge[:n].sum())
            np.testing.assert_allclose(light.charge, z["out/dom_charges"][e].ravel(), rtol=tolerance)
            variance = z["out/dom_charges_variance"][e].ravel()
            np.testing.assert_allclose(light.charge + light.excess, variance, rtol=tolerance)
            # The reference keeps DOM coordinates in float32, which the steep flanks of the pdf amplify.
            expected = z["out/pulse_pdf"][order] / 1000
            visible = expected > 1e-25
            got = np.asarray(pulse_pdf(light, event))[:n]
            np.testing.assert_allclose(got[visible], expected[visible], rtol=2e-5 if dtype == "float32" else 5e-6)
            cdf = np.clip(z["out/pulse_cdf"][order], 0, 1)
            np.testing.assert_allclose(np.asarray(pulse_cdf(light, event))[:n], cdf, atol=tolerance)
            if dtype == "float64":
                probability = np.exp(np.asarray(log_charge_probability(light, event)))
                np.testing.assert_allclose(probability, z["out/dom_charges_pdf"][e].ravel(), rtol=2e-5, atol=1e-300)
            slopes = gradient(h, event)
            for name in ("unbinned_pulse_time_llh", "negative_binomial_charge_pdf", "normalized_dom_charge_pdf"):
                # The derivative by the energy holds that of the reference's unshifted time: compare the others.
                reference = z[f"grad_x/{name}"][e]
                keep = np.array([0, 1, 2, 6])
                scale = np.abs(reference[keep]).max()
                rtol = 2e-3 if dtype == "float32" else 1e-5
                np.testing.assert_allclose(slopes[name][keep], reference[keep], rtol=rtol, atol=rtol * scale)
        # Per ns instead of per microsecond: log 1000 per PE.
        shift = charge * np.log(1000)
        exact = {
            "unbinned_pulse_time_llh": shift, "unbinned_extended_pulse_llh": shift, "normalized_dom_charge_pdf": 0.0,
            "negative_binomial_charge_pdf": 0.0, "negative_binomial_event_charge_pdf": 0.0,
        }  # fmt: skip
        if dtype == "float64":  # in float32 the reference's probabilities underflow
            exact |= {"dom_charge_pdf": 0.0, "unbinned_pulse_and_dom_charge_pdf": shift}
        for name, offset in exact.items():
            assert total[name] == pytest.approx(float(z[f"loss/{name}"]) + offset, rel=tolerance)

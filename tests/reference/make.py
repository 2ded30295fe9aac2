"""Cuts the compact tables of this folder out of the complete reference numbers.

    python tests/reference/make.py DIRECTORY

The numbers were measured on the reference program; nothing here is program text.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FAMILIES = ("asymmetric_gaussian", "gamma", "shifted_gamma", "poisson", "negative_binomial")
MIXTURES = ("mix_tiny_time", "mix_default_time")
EVENTS = (0, 1)
OUTPUTS = ("dom_charges", "dom_charges_variance", "dom_charges_pdf", "dom_cdf_exclusion")


def decoders(source: Path) -> None:
    z, out = np.load(source / "decoders.npz"), {}
    for name in FAMILIES:
        for key in ("x", "latent", "log_pdf", "pdf", "cdf", "expectation", "variance", "q", "ppf"):
            if f"{name}/float64/{key}" in z.files:
                out[f"{name}/float64/{key}"] = z[f"{name}/float64/{key}"][:, ::8]
    for name in MIXTURES:
        for key in ("x", "latent", "log_pdf", "cdf", "expectation"):
            out[f"{name}/float64/{key}"] = z[f"{name}/float64/{key}"][::4]
    np.savez_compressed(HERE / "decoders.npz", **out)


def source(complete: Path, folder: str, case: str, weights_of: str, num_doms: int, target: str) -> None:
    """The DOMs with most pulses: no information flows between DOMs, so they can stand alone."""
    z, weights = np.load(complete / folder / f"{case}.npz"), np.load(complete / folder / "weights.npz")
    ids = z["in/x_pulses_ids"].astype(int)
    kept = np.isin(ids[:, 0], EVENTS)
    dom = ids[:, 1] * 60 + ids[:, 2]
    chosen = np.sort(np.argsort(np.bincount(dom[kept], minlength=5160))[::-1][:num_doms])
    kept &= np.isin(dom, chosen)
    coordinates = np.load(complete / "utils.npz")["detector/x_coords"].reshape(-1, 3)
    out = {
        "doms": chosen,
        "coordinates": coordinates[chosen],
        "in/x_pulses": z["in/x_pulses"][kept],
        "in/x_pulses_ids": ids[kept].astype(np.int16),
    }
    if "in/x_time_exclusions" in z.files:
        windows = z["in/x_time_exclusions_ids"].astype(int)
        kept_windows = np.isin(windows[:, 0], EVENTS) & np.isin(windows[:, 1] * 60 + windows[:, 2], chosen)
        out["in/x_time_exclusions"] = z["in/x_time_exclusions"][kept_windows]
        out["in/x_time_exclusions_ids"] = windows[kept_windows].astype(np.int16)
    for key in ("in/x_parameters", "in/x_time_window"):
        out[key] = z[key][list(EVENTS)]
    count = len(z["in/x_parameters"])
    out["in/x_dom_exclusions"] = z["in/x_dom_exclusions"].reshape(count, -1)[list(EVENTS)][:, chosen]
    nested = "" if weights_of == "model" else f"nested_results/{weights_of}/"
    for key in OUTPUTS:
        if f"out/{nested}{key}" in z.files:
            out[f"out/{key}"] = z[f"out/{nested}{key}"].reshape(count, -1)[list(EVENTS)][:, chosen]
    for key in ("pulse_pdf", "pulse_cdf"):
        out[f"out/{key}"] = z[f"out/{nested}{key}"][kept]
    for key in weights.files:
        if key.startswith((f"{weights_of}/layer", f"trafo/{weights_of}/x_parameters_")):
            value = weights[key]
            if value.shape[:2] == (86, 60):
                value = value.reshape(5160, *value.shape[2:])[chosen]
            out[f"weights/{key}"] = value
    np.savez_compressed(HERE / f"{target}.npz", **out)
    meta = json.loads((complete / folder / "meta.json").read_text())
    settings = (
        meta["model_settings"] if weights_of == "model" else meta["model_settings"]["multi_source_bases"][weights_of]
    )
    content = {"parameter_names": meta["parameter_names"], "model_settings": settings}
    (HERE / f"{target}.json").write_text(json.dumps(content, indent=1) + "\n")


def utilities(source: Path) -> None:
    z = np.load(source / "utils.npz")
    kept = (
        "value_range/",
        "angles/vec",
        "angles/zen",
        "angles/az",
        "angles/angle2vec_flip",
        "angles/get_angle",
        "basis/",
        "dom_acceptance/x",
        "dom_acceptance/float64",
        "dom_acceptance/y_ref",
        "cascades/",
        "tf_helpers/",
        "learning_rate/",
    )
    out = {k: z[k] for k in z.files if k.startswith(kept) and "float32" not in k}
    out["dom_acceptance/y_ref"] = out["dom_acceptance/y_ref"].astype(np.float32)
    np.savez_compressed(HERE / "utilities.npz", **out)


if __name__ == "__main__":
    decoders(Path(sys.argv[1]))
    source(Path(sys.argv[1]), "cascade_tiny", "domtw_f64", "model", 48, "cascade")
    source(Path(sys.argv[1]), "track_sphere", "domtw", "track", 16, "track")
    utilities(Path(sys.argv[1]))

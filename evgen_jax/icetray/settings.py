"""Parameters of the tray modules as settings of fits: names and meanings of Event-Generator's modules are kept."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evgen_jax.building.named_models import is_named
from evgen_jax.checks import check_positive, is_number
from evgen_jax.config.records import ReconstructionSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, shown, suggestion
from evgen_jax.icetray.exclusions import check_keys
from evgen_jax.icetray.seeds import SeedRules
from evgen_jax.icetray.sphere_track import CENTRE
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.run.seeds import FROM_PULSES
from evgen_jax.reconstruction.run.workers import load_models

LOGGER = logging.getLogger("evgen_jax")
PARAMETERS: dict[str, tuple[Any, str]] = {
    "seed_keys": (None, "Key of the seed, or several of which the best fit counts; 'pulses': no seeds at all."),
    "model_names": (None, "Directory of the exported model, or several, which are fitted together as an ensemble."),
    "model_base_dir": (None, "Directory in which the models are; None: model_names are whole paths."),
    "output_key": ("EventGenerator", "Begin of the keys of all output."),
    "pulse_key": ("InIceDSTPulses", "Pulses that are fitted, without those that do not take part."),
    "dom_exclusions_key": ("BadDomsList", "Modules that take no part, a key or several; None: none."),
    "time_exclusions_key": (None, "Time windows that take no part, a key or several; None: none."),
    "readout_window_key": (
        None,
        "I3TimeWindow of the readout; None: as the model was trained; '': from the first to the last pulse, widened.",
    ),
    "batch_frames": (64, "Largest number of events that are fitted together; frames keep their order."),
    "add_circular_err": (False, "Write the width of the direction on the sphere, angular_unc."),
    "add_covariances": (False, "Compute and write covariances and uncertainties."),
    "add_goodness_of_fit": (False, "Rank fits among fits of simulated events."),
    "add_mcmc_samples": (False, "Draw samples of the posterior."),
    "add_skyscan": (False, "Make maps of directions."),
    "add_log_likelihood_ratio": (False, "Fit one cascade in the place of two as well, and write ln L2 - ln L1."),
    "label_key": ("LabelsDeepLearning", "Without effect, as in Event-Generator."),
    "snowstorm_key": ("SnowstormParameters", "Without effect, as in Event-Generator."),
    "num_threads": (0, "Without effect: XLA takes the cores that the job has."),
    "minimize_in_trafo_space": (True, "Whether fits run in normalised parameters."),
    "parameter_boundaries": (None, "{parameter: [low, high]}, physical units; fits stay inside."),
    "minimize_parameter_dict": ({}, "{parameter: whether it is fitted}."),
    "minimize_parameter_default_value": (True, "Whether other parameters are fitted."),
    "missing_seed_value_dict": ({}, "{parameter: value} where a seed has none."),
    "missing_seed_value": (None, "Value of other parameters of which a seed has none."),
    "seed_distances": ((), "m: distances of the second cascade, for seeds of one cascade in a hypothesis of two."),
    "seed_distances_per_energy": ((), "m/GeV: further such distances in proportion to the energy; a tau has 0.05."),
    "seed_energy_shares": ((0.5,), "Shares of the energy in the second cascade, for seeds of one cascade."),
    "sphere_radius": (None, "Radius of the sphere that a track enters, m; None: that of the model's sources."),
    "reco_optimizer_interface": ("batched", "'batched': many events at once; 'scipy': one after the other."),
    "scipy_optimizer_settings": ({"method": "BFGS"}, "Arguments of scipy.optimize.minimize."),
    "tf_optimizer_settings": ({}, "Of TensorFlow; without effect."),
    "goodness_of_fit_settings": ({}, "Of evgen_jax.reconstruction.make_goodness_of_fit."),
    "mcmc_settings": ({}, "Of evgen_jax.reconstruction.make_posterior_sampler; priors: {parameter: {prior: ...}}."),
    "mcmc_quantiles": ((0.5, 0.68, 0.9), "Central intervals of samples that are written."),
    "skyscan_seed": ("reco", "Without effect: maps begin at the fit."),
    "skyscan_settings": ({}, "Of evgen_jax.reconstruction.make_sky_map."),
    "gradient_tolerance": (1e-2, "Norm of the gradient in normalised parameters at which a fit has converged."),
    "max_iterations": (200, "Iterations of a fit at most."),
    "random_seed": (42, "Seed of all that is drawn."),
}
"""Name of a parameter of the module EventGeneratorReconstruction -> its default and its meaning."""


def check_names(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Checks the names of arguments.

    Args:
      given: arguments by name.
      known: all valid names.
      what: begins the message.

    Raises:
      ConfigError: an unknown name, with the nearest match.
    """
    lower = {name.lower() for name in known}
    for name in given:
        if name.lower() not in lower:
            raise ConfigError(
                f"{what}: '{name}' is no parameter; parameters: {', '.join(known)}." + suggestion(name, known)
            )


def checked_values(read: Callable[[str], Any]) -> dict[str, Any]:
    """Reads the parameters of the module EventGeneratorReconstruction and checks their kinds.

    Args:
      read: gives the value of a parameter.

    Returns:
      Values by name; mappings and lists are copies, so that those of the caller stay as they are.

    Raises:
      ConfigError: a parameter of another kind than its default; names it.
    """
    values: dict[str, Any] = {}
    for name, (default, _) in PARAMETERS.items():
        value = read(name)
        if isinstance(default, dict):
            if not isinstance(value, Mapping | None):
                raise ConfigError(f"{name}: expected a mapping {{name: value}}, got {shown(value)}.")
            value = dict(value or {})
        elif isinstance(default, tuple):
            value = _numbers(name, value)
        values[name] = value
    values["missing_seed_value_dict"] = {
        str(name): _number(f"missing_seed_value_dict.{name}", value)
        for name, value in values["missing_seed_value_dict"].items()
    }
    for name in ("missing_seed_value", "sphere_radius"):
        if values[name] is not None:
            values[name] = _number(name, values[name])
    if values["sphere_radius"] is not None:
        check_positive(values["sphere_radius"], "sphere_radius", ConfigError)
    return values


def _number(name: str, value: Any) -> float:
    if not is_number(value):
        raise ConfigError(f"{name}: expected a number, got {shown(value)}.")
    return float(value)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    """One number or several."""
    several = [value] if is_number(value) else value or ()
    if isinstance(several, str | Mapping) or not all(is_number(own) for own in several):
        raise ConfigError(f"{name}: expected a number, or a list of numbers, got {shown(value)}.")
    return tuple(map(float, several))


def model_directories(model_names: Any, base: Any, what: str = "model_names") -> tuple[str, ...]:
    """Finds the directories of models.

    Args:
      model_names: one directory or name, or several.
      base: directory in which they are; None: they are whole paths.
      what: names the parameter in messages.

    Returns:
      Directories, or names of models that come with the package.

    Raises:
      ConfigError: no name.
    """
    given = [model_names] if isinstance(model_names, str | Path) else list(model_names or ())
    names = check_keys([str(name) if isinstance(name, Path) else name for name in given], what)
    if not names:
        raise ConfigError(
            f"{what}: expected the directory of an exported model, or a list of them, got {model_names!r}."
        )
    return tuple(name if base is None or is_named(name) else str(Path(base) / name) for name in names)


def load_named_models(values: Mapping[str, Any]) -> AnyModel:
    """Loads the model, or the ensemble, of a module.

    Args:
      values: of the module's parameters by name; model_names and model_base_dir are read.

    Returns:
      The model.

    Raises:
      EvgenError: a directory that is no model, or models that do not belong together.
    """
    return load_models(model_directories(values["model_names"], values["model_base_dir"]))


def fit_settings_of(values: Mapping[str, Any], name: str) -> ReconstructionSettings:
    """Makes the settings of fits of a module's parameters.

    Args:
      values: of the module's parameters by name.
      name: of the module, for messages.

    Returns:
      The record of a configuration's section reconstruction_settings.

    Raises:
      ConfigError: a value that cannot be.
    """
    scipy = str(values["reco_optimizer_interface"]).lower() == "scipy"
    covariance = values["add_covariances"] or values["add_circular_err"]
    section: dict[str, Any] = {
        "seed": FROM_PULSES if values["seed_keys"] == FROM_PULSES else "x_parameters",
        "reco_optimizer_interface": values["reco_optimizer_interface"],
        "minimize_in_trafo_space": values["minimize_in_trafo_space"],
        "minimize_parameter_dict": dict(values["minimize_parameter_dict"]),
        "minimize_parameter_default_value": values["minimize_parameter_default_value"],
        "calculate_covariance_matrix": bool(covariance),
        "calculate_goodness_of_fit": bool(values["add_goodness_of_fit"]),
        "random_seed": values["random_seed"],
        "parameter_boundaries": values["parameter_boundaries"],
    }
    if scipy:
        section["scipy_optimizer_settings"] = dict(values["scipy_optimizer_settings"])
    else:
        section["gradient_tolerance"], section["max_iterations"] = (
            values["gradient_tolerance"],
            values["max_iterations"],
        )
    if values["seed_keys"] == FROM_PULSES and values["sphere_radius"] is not None:
        section["sphere_radius"] = values["sphere_radius"]
    return validate(ReconstructionSettings, section, name)


def seed_rules_of(
    values: Mapping[str, Any], sphere_radius: float | None, sphere_centre: tuple[float, float, float] = CENTRE
) -> SeedRules:
    """Makes the rules of seeds of a module's parameters.

    Args:
      values: of `checked_values`.
      sphere_radius: of the model's sources, m, where the module is not told one.
      sphere_centre: where the places of the model's detector are counted from, m.

    Returns:
      The rules.

    Raises:
      ConfigError: keys that are no names.
    """
    return SeedRules(
        check_keys(values["seed_keys"], "seed_keys"),
        values["missing_seed_value_dict"],
        values["missing_seed_value"],
        values["seed_energy_shares"],
        values["seed_distances"],
        values["seed_distances_per_energy"],
        sphere_radius if values["sphere_radius"] is None else values["sphere_radius"],
        sphere_centre,
    )


def data_settings_of(model: AnyModel) -> dict[str, Any]:
    """Finds how the events of a model's training were read.

    Args:
      model: any model.

    Returns:
      Section data_settings of its configuration; empty without one.
    """
    return dict((model.settings.get("data_handler_settings") or {}).get("data_settings") or {})

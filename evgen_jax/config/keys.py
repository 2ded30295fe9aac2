"""What becomes of every key of a configuration: it acts, or it is told to have no effect, or it is refused.

Files of Event-Generator hold keys for what is done in another way here. With their usual values they are named in one
warning; values that ask for something else are errors.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from evgen_jax.config import records as r
from evgen_jax.errors import ConfigError, suggestion

LOGGER = logging.getLogger("evgen_jax")


@dataclass(frozen=True)
class Key:
    """One key of a record.

    Attributes:
      acts: whether it changes anything at all.
      idle: (the record that holds it) -> whether it has no effect there, which is told.
      known: values that mean what is done here (class names by their last part); others are refused. None: any.
      wrong: (the record) -> why the value cannot be kept beside the others, or nothing; then it is refused.
    """

    acts: bool = True
    idle: Callable[[Any], bool] = lambda record: False
    known: tuple[Any, ...] | None = None
    wrong: Callable[[Any], str] = lambda record: ""


ACTS = Key()
TOLD = Key(acts=False, idle=lambda record: True)
"""Of Event-Generator; has no effect here."""
WHEN_FITTED = Key(acts=False)
"""Not computed here; `reconstruct` says what does it instead."""
FLOAT32, FLOAT64 = Key(False, known=("float32",)), Key(False, known=("float64",))
"""There is one precision, and the value says so."""


def _only(*names: str) -> Key:
    return Key(acts=False, known=names)


def _short(name: Any) -> str:
    return str(name).rsplit(".", 1)[-1]


def _given(record: BaseModel, *keys: str) -> list[str]:
    """Keys that were given a value that is not empty."""
    return [k for k in keys if k in record.model_fields_set and getattr(record, k) not in _EMPTY]


_EMPTY: tuple[Any, ...] = (None, {}, (), "", False)


def _is_scipy(settings: r.ReconstructionSettings) -> bool:
    return settings.reco_optimizer_interface.lower() == "scipy"


def _batched_alone(settings: r.ReconstructionSettings) -> str:
    return (
        "has no effect on SciPy's minimisers; write it into scipy_optimizer_settings.options"
        if _is_scipy(settings)
        else ""
    )


def _without_module(module: str, settings: str) -> Callable[[r.DataHandlerSettings], str]:
    """Settings beside the module that does nothing contradict it."""

    def wrong(handler: r.DataHandlerSettings) -> str:
        own = getattr(handler, settings)
        dummy = module in handler.model_fields_set and _short(getattr(handler, module)).startswith("Dummy")
        filled = _given(own, *(k for k in type(own).model_fields if k != "float_precision"))
        return f"{module} is {_short(getattr(handler, module))}, which takes no {filled[0]}" if dummy and filled else ""

    return wrong


def _labels_fit(handler: r.DataHandlerSettings) -> str:
    """Settings of labels that the module does not read."""
    module = _short(handler.label_module)
    takes = {
        "parameter_names": ("GeneralLabelModule",),
        "num_cascades": ("SnowstormTrackEquidistantCascadesLabelModule",),
        "additional_labels": ("SnowstormCascadeGeneratorLabelModule", "SnowstormTrackEquidistantCascadesLabelModule"),
    }
    for key in _given(handler.label_settings, *takes):
        if module not in takes[key]:
            return f"{key} belongs to {' and '.join(takes[key])}; {module} does not read it. Remove it or change label_module"
    return ""


def _loaded(settings: r.ModelSettings) -> bool:
    return settings.load_dir is not None


BESIDE_LOADED = Key(idle=_loaded)
"""What stands beside a load_dir is not used."""
KEYS: dict[type[r.Record], dict[str, Key]] = {
    r.ClassSettings: {"full_class_string": ACTS, "settings": ACTS},
    r.OptimizerSettings: {
        "learning_rate": ACTS, "beta_1": ACTS, "beta_2": ACTS, "epsilon": ACTS, "weight_decay": ACTS, "momentum": ACTS,
        "nesterov": ACTS, "amsgrad": ACTS, "rho": ACTS, "centered": ACTS, "initial_accumulator_value": ACTS, "clipnorm": ACTS,
        "clipvalue": ACTS, "global_clipnorm": ACTS, "use_ema": ACTS, "ema_momentum": TOLD, "ema_overwrite_frequency": TOLD,
        "gradient_accumulation_steps": ACTS, "name": TOLD, "jit_compile": TOLD, "loss_scale_factor": ACTS,
    },
    r.LossArguments: {"normalize_by_total_charge": ACTS},
    r.TrainingSettings: {
        "optimizer_name": ACTS, "optimizer_settings": ACTS, "num_training_iterations": ACTS, "log_every": ACTS, "metric_writers": ACTS,
        "validation_frequency": ACTS,
        "evaluation_frequency": ACTS, "save_frequency": ACTS, "clip_gradients_value": ACTS, "remove_nan_gradients": ACTS,
        "l1_regularization": ACTS, "l2_regularization": ACTS, "additional_loss_module_kwargs": ACTS, "num_devices": ACTS,
        "events_per_step": ACTS, "random_seed": ACTS, "frozen_parts": ACTS, "validation_events": ACTS,
    },
    r.IteratorSettings: {
        "input_data": ACTS, "batch_size": ACTS, "sample_randomly": ACTS, "pick_random_files_forever": ACTS,
        "num_jobs": ACTS, "num_add_files": ACTS, "num_repetitions": ACTS, "strict": ACTS,
        "file_capacity": TOLD, "batch_capacity": TOLD, "dataset_capacity": TOLD, "num_splits": TOLD, "verbose": TOLD,
        "biased_selection_module": _only("None"),
    },
    r.DataIteratorSettings: dict.fromkeys(("training", "trafo", "validation", "test"), ACTS),
    r.PulseSettings: {
        "pulse_key": ACTS, "event_id_key": ACTS, "dom_exclusions_key": ACTS, "time_exclusions_key": ACTS,
        "float_precision": FLOAT32, "add_charge_quantiles": TOLD, "discard_pulses_from_excluded_doms": ACTS,
        "time_window_buffer": ACTS, "readout_window_key": ACTS,
    },
    r.LabelSettings: {
        "label_key": ACTS, "parameter_names": ACTS, "additional_labels": ACTS, "num_cascades": ACTS, "trafo_log": ACTS,
        "snowstorm_key": ACTS, "snowstorm_parameters": ACTS, "float_precision": FLOAT32,
    },
    r.MiscSettings: {
        "seed_names": TOLD, "seed_parameter_names": ACTS, "float_precision": FLOAT32, "missing_value": ACTS,
        "missing_value_dict": ACTS,
    },
    r.FilterSettings: {"constraints": ACTS},
    r.DataHandlerSettings: {
        "data_handler": _only("ModuleDataHandler"), "data_module": _only("PulseDataModule"), "data_settings": ACTS,
        "label_module": ACTS, "label_settings": Key(wrong=_labels_fit),
        "weight_module": _only("DummyWeightModule"),
        "weight_settings": Key(False, wrong=lambda h: "events are not weighted; DummyWeightModule takes no settings"),
        "misc_module": _only("DummyMiscModule", "SeedLoaderMiscModule"),
        "misc_settings": Key(wrong=_without_module("misc_module", "misc_settings")),
        "filter_module": _only("DummyFilterModule", "GeneralFilterModule"),
        "filter_settings": Key(wrong=_without_module("filter_module", "filter_settings")),
    },
    r.TrafoSettings: {"model_dir": ACTS, "num_batches": ACTS, "norm_constant": ACTS, "float_precision": FLOAT64},
    r.DecoderSettings: {"decoder_class": ACTS, "config": ACTS, "base_decoders": ACTS, "load_dir": ACTS},
    r.ModelSettings: {
        "model_class": BESIDE_LOADED, "config": BESIDE_LOADED, "multi_source_bases": BESIDE_LOADED,
        "decoder_settings": BESIDE_LOADED, "decoder_charge_settings": BESIDE_LOADED, "data_trafo_settings": ACTS,
        "load_dir": ACTS,
    },
    r.LossSettings: {"loss_module": ACTS, "loss_module_weight": ACTS, "config": ACTS},
    r.LossConfig: {
        "loss_function_name": ACTS, "float_precision": FLOAT32, "add_normalization_term": ACTS, "mpe_quantile": ACTS,
        "min_charge_quantile": ACTS, "max_charge_quantile": ACTS,
    },
    r.PriorConfig: {"float_precision": FLOAT32, "sigmas": ACTS, "uniform_parameters": ACTS},
    r.ManagerConfig: {"manager_dir": ACTS, "I3ParticleMapping": TOLD},
    r.ManagerSettings: {
        "model_manager_class": _only("SourceManager"), "config": ACTS, "restore_model": ACTS,
        "allow_rebuild_base_models": ACTS, "allow_rebuild_base_decoders": Key(
            False, wrong=lambda m: "" if m.allow_rebuild_base_decoders else "decoders are always made from their settings"),
        "keep_checkpoints": ACTS,
    },
    r.ReconstructionSettings: {
        "reco_output_file": TOLD, "seed": ACTS, "seed_parameter_names": ACTS, "seed_missing_value": ACTS,
        "seed_missing_value_dict": ACTS, "seed_float_precision": TOLD, "reco_optimizer_interface": ACTS,
        "gradient_tolerance": Key(wrong=_batched_alone), "max_iterations": Key(wrong=_batched_alone),
        "parameter_boundaries": ACTS, "num_random_seeds": ACTS,
        "seed_spreads": Key(idle=lambda s: not s.num_random_seeds),
        "refit_directions": Key(idle=lambda s: s.seed == "pulses"), "random_seed": ACTS, "column_names": ACTS,
        "priors": ACTS, "scipy_optimizer_settings": Key(idle=lambda s: not _is_scipy(s)), "tf_optimizer_settings": TOLD,
        "minimize_in_trafo_space": ACTS, "minimize_parameter_default_value": ACTS, "minimize_parameter_dict": ACTS,
        "parameter_tensor_name": _only("x_parameters"), "calculate_covariance_matrix": ACTS,
        "calculate_goodness_of_fit": ACTS, "estimate_angular_uncertainty": ACTS,
        "run_mcmc": WHEN_FITTED, "make_1d_llh_scans": WHEN_FITTED, "modified_label_module": WHEN_FITTED,
        "modified_data_module": WHEN_FITTED,
    },
    r.EvaluationSettings: {
        "evaluation_module": ACTS,
        "config": Key(False, wrong=lambda e: "LossTerms takes no settings"),
    },
    r.SimulationSettings: dict.fromkeys((
        "num_events", "events_per_file", "random_seed", "ranges", "readout_window", "model", "single_photoelectron_charge",
    ), ACTS),
    r.ExperimentConfig: dict.fromkeys((
        "unique_name", "training_settings", "model_manager_settings", "data_iterator_settings", "data_handler_settings",
        "data_trafo_settings", "loss_module_settings", "model_settings", "evaluation_module_settings",
        "reconstruction_settings", "detector_settings", "simulation_settings",
    ), ACTS),
}  # fmt: skip


ELSEWHERE: dict[str, Callable[[r.ExperimentConfig], bool]] = {
    "training_settings.validation_frequency": lambda c: c.data_iterator_settings.validation is None,
    "training_settings.evaluation_frequency": lambda c: c.evaluation_module_settings.evaluation_module is None,
}
"""Keys that have no effect because of another section."""
IDLE_OPTIONS = {"EnteringSphereInfTrackMultiCascade": ("num_cascades",)}
"""Options of a source's config: every DOM sees all cascades here, not the nearest few."""
READ_ONCE = ("trafo", "validation")
NOT_READ_ONCE = ("sample_randomly", "pick_random_files_forever", "num_jobs", "num_add_files", "num_repetitions")
"""A transformation is made from the labels of its files, one after the other; a validation takes the same events each time."""


def check_keys(config: r.Record, where: str) -> None:
    """Warns once of all keys that have no effect, and refuses values that ask for what is not there.

    Args:
      config: a checked configuration, or a part of one.
      where: names its file.

    Raises:
      ConfigError: with the path of the key, the value, and what is known.
    """
    told: dict[str, None] = {}
    for path, key, record in _walk(config, ""):
        name = path.rsplit(".", 1)[-1]
        value = getattr(record, name)
        if value in _EMPTY and value is not False:
            continue
        if key.known is not None and _short(value) not in key.known:
            raise ConfigError(
                f"{where}: {path}: got '{value}'; here it can only be {' or '.join(key.known)}."
                + suggestion(_short(value), key.known)
            )
        if reason := key.wrong(record):
            raise ConfigError(f"{where}: {path}: {reason}.")
        elsewhere = isinstance(config, r.ExperimentConfig) and path in ELSEWHERE and ELSEWHERE[path](config)
        if isinstance(record, r.ModelSettings) and name == "config" and not record.load_dir:
            idle = IDLE_OPTIONS.get(_short(record.model_class), ())
            told |= {f"{path}.{option}": None for option in idle if record.config.get(option) is not None}
        if (key.idle(record) or elsewhere or _is_read_once(path)) and value not in _EMPTY:
            told[path] = None
    if told:
        LOGGER.warning("%s: without effect here: %s.", where, ", ".join(_shortened(told)))


def _is_read_once(path: str) -> bool:
    """Whether it is a key about the order of files, of an iterator that reads them once."""
    section, _, name = path.rpartition(".")
    return section in {f"data_iterator_settings.{i}" for i in READ_ONCE} and name in NOT_READ_ONCE


def _walk(record: r.Record, path: str) -> Iterator[tuple[str, Key, r.Record]]:
    """Every key that was given, with its path and the record that holds it."""
    for name in (n for n in type(record).model_fields if n in record.model_fields_set):
        own = f"{path}.{name}" if path else name
        yield own, KEYS[type(record)][name], record
        yield from _inside(getattr(record, name), own)


def _inside(value: Any, path: str) -> Iterator[tuple[str, Key, r.Record]]:
    if isinstance(value, r.Record):
        yield from _walk(value, path)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _inside(part, f"{path}.{name}")
    elif isinstance(value, tuple):
        for part in value:
            yield from _inside(part, path)


def _shortened(paths: dict[str, None]) -> list[str]:
    """The same key of several iterators once."""
    iterators = ("training", "validation", "trafo", "test")
    found: dict[str, None] = {}
    for path in sorted(paths):
        parts = path.split(".")
        if parts[0] == "data_iterator_settings" and parts[1] in iterators and parts[2] not in NOT_READ_ONCE:
            path = f"{parts[0]}.*.{parts[2]}"
        found[path] = None
    return list(found)

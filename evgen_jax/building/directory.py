"""Models on disk: a directory of text files and plain arrays. Loading one never executes code from it."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from evgen_jax.building.described import check_equal, check_own_classes, own_classes, settings_of
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source, init_variables
from evgen_jax.building.model_files import CHECKSUMS, DETECTOR, MEDIUM, SETTINGS, TRAFO, WEIGHTS, as_path, verify
from evgen_jax.config.records import LossSettings, ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, ModelDirectoryError, suggestion
from evgen_jax.hypothesis.trafo import load_trafo
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import load_detector
from evgen_jax.model.ensemble import AnyModel, Ensemble, check_model
from evgen_jax.model.model import Model
from evgen_jax.physics.media import is_default, save_medium
from evgen_jax.physics.medium import fingerprint as medium_fingerprint
from evgen_jax.version import __version__

Shape = tuple[int, ...]
FORMAT = 1
COMPUTED_LIGHT = "tables of photon transport"
"""Light of sources without weights; model directories of versions with another one do not name any."""
KEPT_SETTINGS = (
    "unique_name",
    "model_settings",
    "loss_module_settings",
    "data_handler_settings",
    "reconstruction_settings",
)


def save_model(model: Model, directory: str | Path, history: list[dict[str, Any]] | None = None) -> Path:
    """Writes a model directory: settings, weights, transformation, detector, medium, history, checksums.

    The parts of a multi-source become sub-directories, each a model of its own.

    A model that was composed in Python is saved like one of a configuration: its source and its loss are turned into the
    sections that make them. What was written is read back and compared.

    Args:
      model: from a configuration or composed in Python, of sources that the zoo knows.
      directory: must not exist; it appears under its name only when complete.
      history: training steps, for the record.

    Returns:
      The directory.

    Raises:
      ConfigError: no model, or an ensemble, whose members are saved one by one.
      ModelDirectoryError: the directory exists or cannot be written, or no configuration makes this model.

    Example:
      `eg.load_model(eg.save_model(model, "DIR"))`
    """
    check_model(model)
    if isinstance(model, Ensemble):
        raise ConfigError(
            "save_model: an ensemble is saved member by member, as DIR/models_0000, DIR/models_0001 and so on; "
            "evgen-jax reconstruct DIR fits them together."
        )
    directory = as_path(directory)
    if directory.exists():
        raise ModelDirectoryError(f"{directory}: exists already. Give another name or remove it first.")
    partial = directory.with_name(directory.name + ".partial")
    settings = settings_of(model)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(replace(model, settings=settings), partial, history or [])
        check_equal(load_model(partial), model)
        partial.rename(directory)
    except OSError as error:
        raise ModelDirectoryError(f"{directory}: cannot be written ({error}).") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def save_ensemble(
    models: Sequence[Model], directory: str | Path, histories: Sequence[list[dict[str, Any]]] | None = None
) -> Path:
    """Writes models that are fitted together as one directory with models_0000, models_0001 and so on.

    Args:
      models: members of an ensemble.
      directory: must not exist; it appears under its name only when complete.
      histories: training steps of every model, for the record.

    Returns:
      The directory.

    Raises:
      ModelDirectoryError: the directory exists or cannot be written, or no configuration makes one of the models.
    """
    directory = as_path(directory)
    if directory.exists():
        raise ModelDirectoryError(f"{directory}: exists already. Give another name or remove it first.")
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for number, (model, history) in enumerate(zip(models, histories or [[]] * len(models), strict=True)):
            save_model(model, partial / f"models_{number:04d}", history)
        partial.rename(directory)
    except OSError as error:
        raise ModelDirectoryError(f"{directory}: cannot be written ({error}).") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def _write(model: Model, directory: Path, history: list[dict[str, Any]]) -> None:
    settings = {k: v for k, v in model.settings.items() if k in KEPT_SETTINGS}
    versions = {"evgen_jax": __version__, "jax": jax.__version__, "numpy": np.__version__}
    content = {
        "format": FORMAT,
        "parameter_names": model.parameter_names,
        "versions": versions,
        "medium": {"name": model.detector.medium.name, "fingerprint": medium_fingerprint(model.detector.medium)},
        "settings": settings,
        "training_history": history,
        "computed_light": COMPUTED_LIGHT,
    }
    if own := own_classes(settings):
        content["own_classes"] = own
    (directory / SETTINGS).write_text(json.dumps(content, indent=1) + "\n")
    model.trafo.save(directory / TRAFO)
    model.detector.to_csv(directory / DETECTOR)
    if not is_default(model.detector.medium):
        save_medium(model.detector.medium, directory / MEDIUM)
    # A multi-source that is one class of the zoo, not composed in the configuration, is saved as one.
    if isinstance(model.source, MultiSource) and settings["model_settings"].get("multi_source_bases"):
        for name, base in model.source.bases:
            (directory / name).mkdir()
            _write(_part(model, name, base), directory / name, history)
    else:
        arrays: dict[str, Any] = {
            "/".join(k): np.asarray(v) for k, v in flatten_dict(_as_dict(model.variables)).items()
        }
        np.savez(directory / WEIGHTS, **arrays)
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    sums = {str(p.relative_to(directory)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    (directory / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n")


def part_of(model: Model, path: Sequence[str], where: str) -> Model:
    """A part of a model as a model of its own.

    Args:
      model: a multi-source.
      path: names of bases, from the outermost: ('track', 'cascade').
      where: what the model was loaded from, for messages.

    Raises:
      ModelDirectoryError: it has no such part; those that it has are listed.
    """
    for name in path:
        bases = dict(model.source.bases) if isinstance(model.source, MultiSource) else {}
        if name not in bases or not model.settings["model_settings"].get("multi_source_bases"):
            raise ModelDirectoryError(
                f"{where}: has no part '{name}'; parts: {', '.join(bases) or 'none'}." + suggestion(name, bases)
            )
        model = _part(model, name, bases[name])
    return model


def _part(model: Model, name: str, base: Any) -> Model:
    """A base of a multi-source as a model of its own."""
    assert isinstance(model.source, MultiSource)
    trafo = getattr(base, "trafo", None) or model.source.expand.base_trafos(model.trafo)[name]
    section = dict(model.settings["model_settings"])
    own = dict(section["multi_source_bases"][name])
    own["data_trafo_settings"] = None  # its transformation comes along
    for key in ("decoder_settings", "decoder_charge_settings"):
        own[key] = own.get(key) or section.get(key)
    settings = {**model.settings, "model_settings": own}
    return Model(base, model.variables[name], trafo, model.detector, model.loss, settings)


def _as_dict(tree: Any) -> Any:
    return {k: _as_dict(v) for k, v in tree.items()} if isinstance(tree, Mapping) else tree


def load_model(directory: str | Path) -> Model:
    """Loads a model, or a part of one, from its directory.

    Raises:
      ModelDirectoryError: missing, damaged (a file is named) or written by a newer version.
    """
    directory = as_path(directory)
    verify(directory)
    try:
        content = json.loads((directory / SETTINGS).read_text())
        if content["format"] > FORMAT:
            raise ModelDirectoryError(
                f"{directory}: written by evgen_jax {content['versions']['evgen_jax']}, newer than this one "
                f"({__version__}). Update evgen_jax."
            )
        if "computed_light" not in content and "Analytic" in json.dumps(content["settings"]["model_settings"]):
            raise ModelDirectoryError(
                f"{directory}: its computed light is that of an earlier version, which forgot the direction of a shower within a "
                "scattering length. Save the model again, or use 'icecube86-table'; fits with it change."
            )
        check_own_classes(content.get("own_classes", {}), str(directory))
        trafo = load_trafo(directory / TRAFO)
        own = directory / MEDIUM
        detector = jax.tree.map(jnp.asarray, load_detector(directory / DETECTOR, own if own.is_file() else None))
        where = str(directory / SETTINGS)
        section = validate(ModelSettings, content["settings"]["model_settings"], where)
        losses = content["settings"]["loss_module_settings"]
        losses = losses if isinstance(losses, list) else [losses]
        loss = build_loss(tuple(validate(LossSettings, entry, where) for entry in losses))
        if section.multi_source_bases:
            # Parts carry their own weights and transformation.
            parts = {k: ModelSettings(load_dir=str(directory / k)) for k in section.multi_source_bases}
            source, variables = build_source(
                section.model_copy(update={"multi_source_bases": parts}), trafo, load_model
            )
            return Model(source, variables, trafo, detector, loss, content["settings"])
        with np.load(directory / WEIGHTS, allow_pickle=False) as file:
            arrays = {tuple(k.split("/")): file[k] for k in file.files}
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ModelDirectoryError(f"{directory}: is no model of this version ({error!r}).") from None

    source, _ = build_source(section, trafo)
    shapes = jax.eval_shape(lambda: init_variables(source, None, jax.random.key(0), detector))
    variables = _fit_weights(directory / WEIGHTS, arrays, shapes)
    return Model(source, variables, trafo, detector, loss, content["settings"])


def _fit_weights(path: Path, arrays: dict[tuple[str, ...], np.ndarray], shapes: Any) -> Any:
    expected = flatten_dict(_as_dict(shapes))
    difference = architecture_difference(
        {"/".join(k): v.shape for k, v in expected.items()}, {"/".join(k): v.shape for k, v in arrays.items()}
    )
    if difference:
        raise ModelDirectoryError(f"{path}: does not fit the model built from its settings.\n{difference}")
    tree = unflatten_dict({k: jnp.asarray(v) for k, v in arrays.items()})
    return _with_empty(tree, shapes)


def _with_empty(tree: Any, like: Any) -> Any:
    """Restores branches without arrays, which a list of arrays does not show."""
    if not isinstance(like, Mapping):
        return tree
    return {k: _with_empty(tree.get(k, {}), v) for k, v in like.items()}


def architecture_difference(model: Mapping[str, Shape], stored: Mapping[str, Shape]) -> str:
    """Lists arrays that differ between a model and what is on disk, both sides; empty if they agree."""
    lines = [f"  in the model, not on disk:   - {k} {v}" for k, v in sorted(model.items()) if stored.get(k) != v]
    lines += [f"  on disk, not in the model:   + {k} {v}" for k, v in sorted(stored.items()) if model.get(k) != v]
    return "\n".join(lines)


def model_identity(model: AnyModel) -> str:
    """A short name of weights, settings and normalisation; equal for equal models."""
    digest = hashlib.sha256(json.dumps([model.settings, model.trafo.as_plain()], sort_keys=True, default=str).encode())
    for leaf in jax.tree.leaves(model.variables):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]

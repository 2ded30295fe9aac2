"""Settings of models, also of those that were composed in Python."""

from typing import Any

from evgen_jax.building.losses import loss_records
from evgen_jax.building.record import OWN
from evgen_jax.building.zoo import record_of
from evgen_jax.config.record import short
from evgen_jax.errors import ConfigError, ModelDirectoryError
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.light.tree import with_chunk
from evgen_jax.model.model import Model

CLASS_KEYS = ("model_class", "decoder_class", "loss_function_name")
"""Keys that name what users may register."""
SECTIONS = ("model_settings", "loss_module_settings")


def settings_of(model: Model) -> dict[str, Any]:
    """The configuration sections that make a model, as plain values.

    Args:
      model: from a configuration, whose sections it knows, or composed in Python: then its source and its loss are turned
        into the sections that make them.

    Raises:
      ModelDirectoryError: a source or a loss that no configuration makes.
    """
    settings = dict(model.settings)
    if all(section in settings for section in SECTIONS):
        return settings
    try:
        settings.setdefault("model_settings", record_of(model.source).section())
        settings.setdefault("loss_module_settings", [record.section() for record in loss_records(model.loss)])
    except ConfigError as error:
        raise ModelDirectoryError(f"this model cannot be saved: {error}") from None
    return settings


def own_classes(settings: Any) -> dict[str, str]:
    """Users' own classes that settings name, each with the name of the file that registered it.

    Args:
      settings: plain values.
    """
    if isinstance(settings, list | tuple):
        return {name: file for part in settings for name, file in own_classes(part).items()}
    if not isinstance(settings, dict):
        return {}
    found = {name: file for part in settings.values() for name, file in own_classes(part).items()}
    named = {short(settings[key]) for key in CLASS_KEYS if isinstance(settings.get(key), str)}
    return found | {name: OWN[name] for name in named if name in OWN}


def check_own_classes(needed: dict[str, str], where: str) -> None:
    """Whether the users' own classes of a model are there: a model directory brings no code along.

    Args:
      needed: as of `own_classes`.
      where: the directory, for messages.

    Raises:
      ModelDirectoryError: one is missing; the file that registers it is named.
    """
    for name, file in needed.items():
        if name not in OWN:
            raise ModelDirectoryError(
                f"{where}: '{name}' is unknown: a class of one's own, which {file} registers. Name that file with "
                f"evgen-jax --sources {file} ..., or import it first."
            )


def check_equal(loaded: Model, model: Model) -> None:
    """Whether a model that was read back is the one that was written.

    The loss is compared where it was turned into settings; the settings of a configuration are those that count.

    Args:
      loaded: what was read back.
      model: what was written.

    Raises:
      ModelDirectoryError: their sources or losses differ.
    """
    if _without_chunks(loaded.source) != _without_chunks(model.source):
        raise ModelDirectoryError(
            "this model cannot be saved: its source is not the one that its settings make. A source that is the whole model "
            "must be normalised by the `trafo` of the model; of an approximation save the model that it was made from."
        )
    if "loss_module_settings" not in model.settings and loaded.loss != model.loss:
        raise ModelDirectoryError("this model cannot be saved: its loss is not the one that its settings make.")


def _without_chunks(source: Source) -> Source:
    return with_chunk(source, None) if isinstance(source, MultiSource) else source

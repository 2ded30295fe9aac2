"""The JSON schema of configurations, for editors: from the records, with those of every class that can be named."""

from collections.abc import Mapping
from typing import Any

from evgen_jax.building.decoders import DECODERS
from evgen_jax.building.losses import ALWAYS, LOSS_TERMS, OPTIONS, SnowstormPriorLossModule
from evgen_jax.building.record import ZooRecord
from evgen_jax.building.value_ranges import VALUE_RANGES
from evgen_jax.building.zoo import SOURCES
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.training.schedules import SCHEDULES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""Version of JSON schema."""
PARTS: dict[str, dict[str, Any]] = {
    "source": {"$ref": "#/$defs/ModelSettings"},
    "decoder": {"$ref": "#/$defs/DecoderSettings"},
    "value range": {"$ref": "#/$defs/ValueRangeSettings"},
    "schedule": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/ClassSettings"}]},
}
"""What stands in a file where a record holds another record."""
NAMED = (
    # (section, key that names a class, section inside that holds its settings, records)
    ("ModelSettings", "model_class", "config", SOURCES),
    ("DecoderSettings", "decoder_class", "config", DECODERS),
    ("ValueRangeSettings", "value_range_class", "config", VALUE_RANGES),
    ("ClassSettings", "full_class_string", "settings", SCHEDULES),
)


def configuration_schema() -> dict[str, Any]:
    """Makes the JSON schema of a configuration file.

    Classes that users registered are part of it.

    Returns:
      Plain values, to be written as JSON.
    """
    schema = ExperimentConfig.model_json_schema()
    sections = schema["$defs"]
    sections["ValueRangeSettings"] = {
        "type": "object",
        "properties": {"value_range_class": {"type": "string"}, "config": {"type": ["object", "null"]}},
        "required": ["value_range_class"],
        "additionalProperties": False,
    }
    for section, key, inside, records in NAMED:
        names = sorted(records)
        sections[section]["properties"][key] = _class_name(names, sections[section]["properties"][key])
        sections[section]["allOf"] = [_if_named((key,), name, inside) for name in names]
        sections |= {name: _settings(record) for name, record in records.items()}
    terms = sorted(LOSS_TERMS)
    for name, record in LOSS_TERMS.items():
        # Switches of other terms may stand there with the values that change nothing.
        others = {key: {"const": True if key in ALWAYS else None} for key in OPTIONS if key not in record.model_fields}
        sections[name] = _settings(record, {"loss_function_name": {"type": "string"}, **others})
    prior = SnowstormPriorLossModule.__name__
    sections[prior] = _settings(SnowstormPriorLossModule)
    sections["LossSettings"]["allOf"] = [
        _if_named(("loss_module",), prior, "config"),
        *(_if_named(("config", "loss_function_name"), name, "config") for name in terms),
    ]
    # At the top of a file they are the defaults of the whole model.
    model = sections["ModelSettings"]["properties"]
    schema["properties"] |= {key: model[key] for key in ("decoder_settings", "decoder_charge_settings")}
    return {"$schema": DIALECT, **_with_parts(schema)}


def what_it_is(schema: Mapping[str, Any]) -> str:
    """Returns what the docstring of a record says, without its example in Python.

    Args:
      schema: of the record.
    """
    return str(schema.get("description", "")).split("\n\nExample:")[0]


def _class_name(names: list[str], plain: dict[str, Any]) -> dict[str, Any]:
    """A class by its name, dotted or not: editors offer the names."""
    dotted = {"type": "string", "pattern": rf"\.({'|'.join(names)})$"}
    empty = [{"type": "null"}] * ("default" in plain)
    return {"description": plain.get("description", ""), "anyOf": [{"enum": names}, dotted, *empty]}


def _if_named(path: tuple[str, ...], name: str, inside: str) -> dict[str, Any]:
    """Where a class has this name, its settings are those of its record."""
    condition: dict[str, Any] = {"type": "string", "pattern": rf"(^|\.){name}$"}
    for key in reversed(path):
        condition = {"type": "object", "properties": {key: condition}, "required": [key]}
    return {"if": condition, "then": {"properties": {inside: {"$ref": f"#/$defs/{name}"}}}}


def _settings(record: type[ZooRecord], more: dict[str, Any] | None = None) -> dict[str, Any]:
    """What stands in the section of a class: its keys, each of which may be empty if it has a default."""
    schema = record.model_json_schema(by_alias=False)
    needed = [key for key in schema.get("required", ()) if key in record.config_keys()]
    properties = dict(more or {})
    for key in record.config_keys():
        entry = schema["properties"][key]
        if key not in needed:
            told = {name: entry[name] for name in ("description", "default", "unit") if name in entry}
            kind = {name: value for name, value in entry.items() if name not in (*told, "title")}
            entry = {**told, "anyOf": [kind, {"type": "null"}]} if kind else told
        properties[key] = entry
    return {
        "type": "object",
        "description": what_it_is(schema),
        "properties": properties,
        "required": needed,
        "additionalProperties": record.model_config.get("extra") == "allow",
    }


def _with_parts(value: Any) -> Any:
    """The schema with sections of files in place of records inside of records."""
    if isinstance(value, list):
        return [_with_parts(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "x-record" in value:
        described: dict[str, Any] = {key: value[key] for key in ("description", "default") if key in value}
        return {**described, **PARTS[value["x-record"]]}
    return {key: _with_parts(part) for key, part in value.items()}

"""The reference of all keys of configurations, made from the records as a page of Markdown."""

from collections.abc import Iterable, Iterator
from typing import Any

from evgen_jax.building.decoders import DECODERS
from evgen_jax.building.losses import LOSS_TERMS, SnowstormPriorLossModule
from evgen_jax.building.record import ZooRecord
from evgen_jax.building.value_ranges import VALUE_RANGES
from evgen_jax.building.zoo import SOURCES
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.report.schema import what_it_is
from evgen_jax.training.optimizer import OPTIMIZERS
from evgen_jax.training.schedules import SCHEDULES

BOUNDS = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
"""(key of a JSON schema, sign on the page) pairs."""
LARGEST_SHOWN = 2**31
"""Bound from which on none is shown: it is that of the machine."""
HEAD = ("| key | type | default | unit | meaning |", "|---|---|---|---|---|")
"""Head of a table of keys."""


def reference_page() -> str:
    """Writes all keys of configurations with type, range, default, unit and meaning.

    Returns:
      The page as Markdown.
    """
    lines = ["# Keys of configurations", "", "Made by `evgen-jax schema --format markdown` from the records.", ""]
    schema = ExperimentConfig.model_json_schema()
    lines += ["## Sections", ""]
    for path, section in _sections(schema, schema, ""):
        lines += [f"### {path or 'Top of the file'}", "", section.get("description", ""), ""]
        lines += _table(section, section["properties"], schema["$defs"]) + [""]
    for title, records in (
        ("Sources: `model_class`, keys of `config`", SOURCES.values()),
        ("Decoders: `decoder_class`, keys of `config`", DECODERS.values()),
        ("Value ranges: `value_range_class`, keys of `config`", VALUE_RANGES.values()),
        ("Terms of the loss: `loss_function_name`, keys of `config`", LOSS_TERMS.values()),
        ("Priors: `loss_module`, keys of `config`", (SnowstormPriorLossModule,)),
        ("Optimisers: `optimizer_name`, keys of `optimizer_settings`", OPTIMIZERS.values()),
        ("Schedules of the learning rate: `full_class_string`, keys of `settings`", SCHEDULES.values()),
    ):
        lines += [f"## {title}", "", *_classes(records)]
    return "\n".join(lines).rstrip() + "\n"


def _sections(schema: dict[str, Any], whole: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every section of a file with its key path, outer ones first; a section that lies in itself once."""
    yield path, schema
    for key, entry in schema["properties"].items():
        for name in _references(entry):
            inner = whole["$defs"][name]
            if path.count(key) == 0 and name not in ("ClassSettings", "DecoderSettings"):
                yield from _sections(inner, whole, f"{path}.{key}".lstrip("."))


def _references(entry: Any) -> Iterator[str]:
    if isinstance(entry, dict):
        if "$ref" in entry:
            yield entry["$ref"].rsplit("/", 1)[-1]
            return
        entry = list(entry.values())
    for part in entry if isinstance(entry, list) else ():
        yield from dict.fromkeys(_references(part))


def _classes(records: Iterable[type[ZooRecord]]) -> Iterator[str]:
    for record in records:
        schema = record.model_json_schema()
        yield from (f"### {record.__name__}", "", what_it_is(schema), "")
        if record.config_keys():
            yield from _table(schema, {key: schema["properties"][key] for key in record.config_keys()}, {})
            yield ""


def _table(schema: dict[str, Any], properties: dict[str, Any], sections: dict[str, Any]) -> list[str]:
    needed = schema.get("required", ())
    rows = []
    for key, entry in properties.items():
        default = "needed" if key in needed else _value(entry.get("default"))
        # A text that is that of the section stands there alone.
        inner: dict[str, Any] = next((sections[name] for name in _references(entry) if name in sections), {})
        text = entry.get("description") or inner.get("description", "").split("\n", 1)[0]
        cells = (f"`{key}`", kind_of_value(entry), default, entry.get("unit", ""), text)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return [*HEAD, *rows]


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"`{value}`" if not isinstance(value, dict | list | tuple) or len(str(value)) < 40 else "its defaults"


def kind_of_value(entry: dict[str, Any]) -> str:
    """Describes in words what a value may be.

    Args:
      entry: JSON schema of one key.

    Returns:
      The description.
    """
    if "x-record" in entry:
        return str(entry["x-record"])
    if "$ref" in entry:
        return "section"
    if "const" in entry or "enum" in entry:
        return " or ".join(repr(value) for value in entry.get("enum", [entry.get("const")]))
    if "anyOf" in entry:
        kinds = [kind_of_value(part) for part in entry["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds)) or "empty"
    kind = entry.get("type", "any")
    if kind == "array":
        inner: dict[str, Any] = entry.get("items") or next(iter(entry.get("prefixItems", ())), {})
        each = kind_of_value(inner) if inner else ""
        return f"list of ({each})" if " or " in each else f"list of {each}" if each else "list"
    if kind == "object":
        values = entry.get("additionalProperties")
        return f"{{name: {kind_of_value(values)}}}" if isinstance(values, dict) else "mapping"
    words = {"integer": "whole number", "boolean": "True or False", "string": "text", "null": "empty"}
    bounds = [f"{sign} {entry[key]:g}" for key, sign in BOUNDS if key in entry and abs(entry[key]) < LARGEST_SHOWN]
    return " ".join([words.get(kind, kind), *bounds])

"""The JSON schema and the reference page hold every key of every record, with a meaning each."""

import json

import event_generator
import pytest
from conftest import CONFIG

from evgen_jax.building.decoders import DECODERS
from evgen_jax.building.losses import LOSS_TERMS, SnowstormPriorLossModule
from evgen_jax.building.value_ranges import VALUE_RANGES
from evgen_jax.building.zoo import SOURCES
from evgen_jax.config import records
from evgen_jax.config.reader import read_yaml
from evgen_jax.report.reference import kind_of_value, reference_page
from evgen_jax.report.schema import configuration_schema
from evgen_jax.training.optimizer import OPTIMIZERS
from evgen_jax.training.schedules import SCHEDULES

SECTIONS = [c for c in vars(records).values() if isinstance(c, type) and issubclass(c, records.Record)]
CLASSES = [
    *SOURCES.values(),
    *DECODERS.values(),
    *VALUE_RANGES.values(),
    *LOSS_TERMS.values(),
    SnowstormPriorLossModule,
    *SCHEDULES.values(),
]


def test_every_field_of_every_record_says_what_it_means():
    missing = [
        f"{r.__name__}.{k}"
        for r in [*SECTIONS, *CLASSES, *OPTIMIZERS.values()]
        for k, f in r.model_fields.items()
        if not f.description
    ]
    assert not missing and len(SECTIONS) > 15
    assert all(record.__doc__ for record in CLASSES)


def test_the_page_has_every_key_with_its_meaning():
    page = reference_page()
    parts = dict(part.split("\n", 1) for part in page.split("\n### ")[1:])
    for record in [*CLASSES, *OPTIMIZERS.values()]:
        rows = parts[record.__name__]
        for key in record.config_keys():
            (row,) = [line for line in rows.splitlines() if line.startswith(f"| `{key}` |")]
            assert record.model_fields[key].description.replace("|", "\\|") in row
    for section in ("training_settings.optimizer_settings", "data_iterator_settings.trafo", "model_settings"):
        assert section in parts
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 300 and all(line.count(" | ") == 4 and not line.endswith("|  |") for line in rows)
    assert "| `sphere_radius` | number > 0 | needed | m | Radius of the sphere. |" in rows
    assert "| `batch_size` | whole number >= 1 | `32` |  | Events of a batch. |" in rows


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 100}, "whole number >= 1 <= 100"),
        ({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}, "number > 0"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "list of ('a' or 'b')"),
        ({"type": "object", "additionalProperties": {"x-record": "decoder"}}, "{name: decoder}"),
        ({}, "any"),
    ],
)
def test_kinds_of_values_in_words(schema, words):
    assert kind_of_value(schema) == words


def references(value):
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(part)
    if isinstance(value, dict) and "$ref" in value:
        yield value["$ref"].removeprefix("#/$defs/")


def test_the_schema_knows_every_class_and_its_keys(command):
    schema = json.loads(command("schema")[1])
    assert schema == json.loads(json.dumps(configuration_schema()))
    assert set(references(schema)) <= set(schema["$defs"]) and "x-record" not in json.dumps(schema)
    for record in CLASSES:
        assert set(record.config_keys()) <= set(schema["$defs"][record.__name__]["properties"])
    cascade = schema["$defs"]["DefaultCascadeModel"]
    assert cascade["required"] == ["num_filters_list"] and not cascade["additionalProperties"]
    assert cascade["properties"]["mixture_component_t_seeds"]["unit"] == "ns"


def test_the_page_is_written(command, tmp_path):
    assert command("schema", "--format", "markdown", "-o", tmp_path / "keys.md")[0] == 0
    assert (tmp_path / "keys.md").read_text() == reference_page()
    code, _, err = command("schema", "-o", tmp_path / "none" / "keys.md")
    assert code == 2 and "cannot be written" in err and err.count("\n") == 1


def test_editors_accept_what_loads_and_mark_what_does_not(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(configuration_schema())
    path = tmp_path / "config.yaml"
    for name in event_generator.CONFIGURATIONS:
        path.write_text(event_generator.text(name))
        assert not list(validator.iter_errors(read_yaml(path))), name
    plain = read_yaml(CONFIG)
    assert not list(validator.iter_errors(plain))
    cascade = plain["model_settings"]["multi_source_bases"]["cascade"]
    for section, key, value in (
        (cascade["config"], "keep_probb", 0.5),
        (cascade["config"], "float_precision", "float16"),
        (cascade["decoder_settings"]["base_decoders"]["AG"]["config"], "offset", "x"),
        (plain["loss_module_settings"][1]["config"], "mpe_quantile", 0.1),
        (plain["training_settings"], "log", 1),
    ):
        section[key] = value
        assert list(validator.iter_errors(plain)), key
        del section[key]
    assert not list(validator.iter_errors(plain))

"""Random values at random keys of a configuration: it is built, or refused in one line of readable length."""

import copy

import jax
import numpy as np
import pytest
import yaml
from conftest import CONFIG

from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source, init_variables
from evgen_jax.building.parts import hypothesis_parameters
from evgen_jax.building.sources import identity_trafo
from evgen_jax.config.reader import read_yaml
from evgen_jax.config.validate import load_config
from evgen_jax.data.labels import label_log_flags, time_columns
from evgen_jax.errors import EvgenError
from evgen_jax.hypothesis.parameters import names_of
from evgen_jax.model.model import Model
from evgen_jax.reconstruction.run.file_fit import make_configured_fitter
from evgen_jax.reconstruction.run.seeds import make_seed_reader
from evgen_jax.simulation.draw import parameter_ranges
from evgen_jax.training.optimizer import build_optimizer

ODD = (
    None,
    "",
    "abc",
    -1,
    0,
    1,
    2.5,
    float("inf"),
    float("nan"),
    [],
    {},
    True,
    [1, 2],
    ["a"],
    {"a": 1},
    10**30,
    [[1]],
    "{nope}",
)


def places(value, path=()):
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def mutated(rng, plain):
    """The configuration with one or two of its values replaced, removed, renamed or exchanged for another part of it."""
    plain = copy.deepcopy(plain)
    for _ in range(rng.integers(1, 3)):
        paths = list(places(plain))
        path, other = (paths[i] for i in rng.integers(0, len(paths), 2))
        parent, key, what = at(plain, path[:-1]), path[-1], rng.integers(0, 5)
        if what < 2:
            parent[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
        elif what == 2:
            parent[key] = copy.deepcopy(at(plain, other))
        elif what == 3 and isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        else:
            del parent[key]
    return plain


def build(path, detector):
    config = load_config(path)
    parameters = hypothesis_parameters(config)
    names = names_of(parameters)
    label_log_flags(config.data_handler_settings), time_columns(config.data_handler_settings, parameters)
    trafo = identity_trafo(names)
    source, loaded = build_source(config.model_settings, trafo)
    shapes = jax.eval_shape(lambda: init_variables(source, loaded, jax.random.key(0), detector))
    optimizer, schedule = build_optimizer(config.training_settings)
    jax.eval_shape(optimizer.init, shapes)
    assert np.isfinite(float(schedule(3)))
    parameter_ranges(parameters, config.simulation_settings.ranges)
    model = Model(source, None, trafo, detector, build_loss(config.loss_module_settings))
    make_configured_fitter(model, config.reconstruction_settings)
    make_seed_reader(model, config.data_handler_settings, config.reconstruction_settings)


def test_mutated_configurations(loaded_detector, tmp_path):
    plain, path = read_yaml(CONFIG), tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(plain))
    build(path, loaded_detector)
    built = refused = 0
    for seed in range(150):
        path.write_text(yaml.safe_dump(mutated(np.random.default_rng(seed), plain)))
        try:
            build(path, loaded_detector)
            built += 1
        except EvgenError as error:
            assert len(str(error)) < 1500 and "\n" not in str(error), seed
            refused += 1
        except Exception as error:
            pytest.fail(f"seed {seed}: {error!r}")
    assert built > 10 and refused > 80

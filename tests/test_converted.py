"""Converted events: batches bit for bit those of the files, whatever happens to the directory."""

import json
import shutil
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from conftest import full_disk

from evgen_jax.building.experiment import open_stream
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import find_files
from evgen_jax.data.conversion import Conversion
from evgen_jax.data.convert import convert, make_cache
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.sections import sections_of
from evgen_jax.errors import ConfigError, DataError

SMALL = 20_000
"""Size of a shard, bytes, with which the small files become several shards."""


@pytest.fixture(scope="module")
def config(experiment):
    return load_config(experiment / "config.yaml")


@pytest.fixture(scope="module")
def conversion(experiment, config, loaded_detector) -> Conversion:
    return Conversion(
        str(experiment / "events" / "*.hdf5"),
        config.data_handler_settings,
        loaded_detector,
        seeds=("SmearedSeed",),
        seed_columns=("x", "y", "z", "zenith", "azimuth", "energy", "time"),
    )


@pytest.fixture(scope="module")
def converted(conversion, tmp_path_factory) -> Path:
    """The three files of the experiment in several shards."""
    directory = tmp_path_factory.mktemp("converted") / "events"
    done = convert(conversion, directory, shard_bytes=SMALL)
    assert str(done) == "60 events of 3 files" and len(list(directory.glob("*.events"))) > 1
    return directory


def with_data(config, name, **changes):
    iterators = config.data_iterator_settings
    own = getattr(iterators, name).model_copy(update=changes)
    return config.model_copy(update={"data_iterator_settings": iterators.model_copy(update={name: own})})


def assert_equal(a, b):
    """Equal bit for bit: values, types and shapes."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


@pytest.mark.parametrize("more", [0, 1])
def test_batches_are_those_of_the_files_bit_for_bit(experiment, config, converted, loaded_detector, more):
    files = str(experiment / "events" / "*.hdf5")
    plain = open_stream(with_data(config, "training", input_data=files, num_add_files=more), "training", loaded_detector)
    stored = with_data(config, "training", input_data=str(converted), num_add_files=more)
    stream = open_stream(stored, "training", loaded_detector)
    positions = []
    for _ in range(40):  # more than an epoch
        batch, own = next(plain), next(stream)
        assert_equal((batch.events, batch.labels), (own.events, own.labels))
        assert stream.position == plain.position
        assert [name.split(" of ")[0] for name in batch.names] == [name.split(" of ")[0] for name in own.names]
        positions.append((stream.position, own))
    assert stream.position.epoch > 0
    # A run goes on from any position, whichever of the two it began with.
    resumed = open_stream(stored, "training", loaded_detector, positions[17][0])
    for position, batch in positions[18:]:
        own = next(resumed)
        assert_equal((batch.events, batch.labels), (own.events, own.labels))
        assert resumed.position == position

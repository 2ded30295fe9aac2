"""Fixtures: a small detector, a small experiment on it, simulated files. Nothing here needs the network."""

import atexit
import math
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

# Workers and sub-processes compile the same small programs: they share them on disk for the time of one run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # each program from the cache writes two lines otherwise
# An axis that is missing by mistake is an error here and in sub-processes; JAX would put it in front without a word.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
# Compilation is most of what tests cost. JAX 0.10 compiles for the CPU in half of its time by an older generator of code
# and no passes over it; the programs compute the same, and runs at night take those that users have. JAX 0.12 knows no such way.
if version("jax").startswith("0.10.") and os.environ.get("NIGHTLY") != "1" and "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    cache = tempfile.mkdtemp(prefix="evgen_jax_tests_")
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}

import chex
import jax
import numpy as np
import pytest
import shapes  # noqa: F401  (before the package, whose imports it takes over)

from evgen_jax.building.decoders import DECODERS
from evgen_jax.building.experiment import create_trafo
from evgen_jax.building.losses import LOSS_TERMS
from evgen_jax.building.record import OWN
from evgen_jax.building.sources import SOURCES
from evgen_jax.cli.main import main
from evgen_jax.config.validate import load_config
from evgen_jax.measurement.detector import Detector, load_detector
from evgen_jax.model.terms import TERMS
from evgen_jax.program_memory import make_room_for_programs
from evgen_jax.simulation.simulate import simulate

CONFIG = Path(__file__).parent / "small.yaml"


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    """A test file begins with room for its programs, also those that are not fits."""
    yield
    make_room_for_programs()


@pytest.fixture(autouse=True)
def traces_counted_anew() -> None:
    """`chex.assert_max_traces` counts the traces of one test."""
    chex.clear_trace_counter()


@pytest.fixture
def traced_once(monkeypatch) -> Callable[..., None]:
    """Lets a program of a module fail where it is traced a second time: the test calls it with one set of shapes."""

    def limit(module: ModuleType, name: str, static: tuple[int, ...] = ()) -> None:
        function = chex.assert_max_traces(getattr(module, name).__wrapped__, n=1)
        monkeypatch.setattr(module, name, jax.jit(function, static_argnums=static))

    return limit


@contextmanager
def programs_built() -> Iterator[list[str]]:
    """Lists the programs that JAX lowers, for a compiler or a cache on disk: one entry each."""
    built: list[str] = []

    def listen(event: str, seconds: float, **notes: object) -> None:
        if event == "/jax/core/compile/jaxpr_to_mlir_module_duration":
            built.append(str(notes.get("fun_name", event)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield built
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def processes_left() -> list[Any]:
    """Processes of this one that are still there after a while; those that end are waited for by threads of their pools as well."""
    limit = time.monotonic() + 5
    while (left := multiprocessing.active_children()) and time.monotonic() < limit:
        time.sleep(0.05)
    return left


@contextmanager
def full_disk(free: int = 4096) -> Iterator[None]:
    """No file can grow beyond this size, bytes: what is written ends with an error as on a full disk.

    JAX's cache of programs lies elsewhere: it is read and not written.
    """
    resource = pytest.importorskip("resource")
    limits, shortest = resource.getrlimit(resource.RLIMIT_FSIZE), "jax_persistent_cache_min_compile_time_secs"
    kept = getattr(jax.config, shortest)
    jax.config.update(shortest, math.inf)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        jax.config.update(shortest, kept)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def detector() -> Detector:
    """Nine strings of twelve modules."""
    x, y, z = np.meshgrid(*[np.arange(3) * 110.0 - 110.0] * 2, np.arange(12) * 25.0 - 140.0, indexing="ij")
    string, om = np.meshgrid(np.arange(9) + 1, np.arange(12) + 1, indexing="ij")
    return Detector(
        position=np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1).astype(np.float32),
        relative_efficiency=np.ones(108, np.float32),
        noise_rate=np.full(108, 5e-7, np.float32),
        string=string.ravel().astype(np.int32),
        om=om.ravel().astype(np.int32),
        usable=np.arange(108) != 5,
        name="small",
    )


def write_config(directory: Path, detector: Detector, changes: tuple[tuple[str, str], ...] = ()) -> Path:
    """The small configuration with its paths filled in and some texts replaced."""
    detector.to_csv(directory / "detector.csv")
    text = CONFIG.read_text().replace("DIRECTORY", str(directory))
    for old, new in changes:
        assert old in text, f"'{old}' is not in small.yaml"
        text = text.replace(old, new)
    path = directory / "config.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def experiment(tmp_path_factory, detector) -> Path:
    """A directory with config.yaml, simulated events and a fitted transformation."""
    directory = tmp_path_factory.mktemp("experiment")
    config = load_config(write_config(directory, detector))
    simulate(config, directory / "events")
    create_trafo(config)
    return directory


@pytest.fixture(scope="session")
def small_detector_csv(detector, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "detector.csv"
    detector.to_csv(path)
    return path


@pytest.fixture(scope="session")
def loaded_detector(small_detector_csv) -> Detector:
    return load_detector(small_detector_csv)


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `evgen-jax ...`; returns exit code, output and error output."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evgen-jax", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def registries() -> Iterator[Callable[[], None]]:
    """What a test registers is forgotten after it, and whenever the function is called, as in a new process."""
    tables = (SOURCES, DECODERS, LOSS_TERMS, TERMS, OWN)
    before = [dict(table) for table in tables]

    def forget() -> None:
        for table, entries in zip(tables, before, strict=True):
            table.clear()
            table.update(entries)

    yield forget
    forget()

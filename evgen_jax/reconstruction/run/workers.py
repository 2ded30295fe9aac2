"""Files spread over several processes of this machine or over a cluster."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from evgen_jax.building.directory import load_model, members
from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.errors import ReconstructionError
from evgen_jax.main_guard import check_guarded
from evgen_jax.model.ensemble import AnyModel, Ensemble
from evgen_jax.processes import make_pool, stop_pool
from evgen_jax.reconstruction.run.program import FileJobs, Job, make_file_jobs


@dataclass(frozen=True)
class Recipe:
    """What a process needs to fit a file, in plain values.

    Attributes:
      model_directories: exported; several are an ensemble.
      handler, settings: JSON of the sections of a configuration.
      prepare: called once per process, such as one that registers a user's own sources.
    """

    model_directories: tuple[str, ...]
    handler: str
    settings: str
    # Copies that arrive in a worker hold functions that are not equal; they are the same recipe all the same.
    prepare: Callable[[], None] | None = field(default=None, compare=False)


def make_recipe(
    model_directories: Sequence[str],
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    prepare: Callable[[], None] | None = None,
) -> Recipe:
    return Recipe(tuple(model_directories), handler.model_dump_json(), settings.model_dump_json(), prepare)


def load_models(directories: Sequence[str]) -> AnyModel:
    """An exported model, or an ensemble of several; a directory may be one that was exported as such."""
    paths = [path for directory in map(Path, directories) for path in members(directory) or [directory]]
    models = [load_model(path) for path in paths]
    return models[0] if len(models) == 1 else Ensemble(models)


def run_job(recipe: Recipe, job: Job) -> str:
    """Fits one file in the process that it is called in; returns why it could not be read, or nothing."""
    return _prepared(recipe)(job)


@lru_cache(maxsize=1)
def _prepared(recipe: Recipe) -> FileJobs:
    if recipe.prepare:
        recipe.prepare()
    return make_file_jobs(
        load_models(recipe.model_directories),
        DataHandlerSettings.model_validate_json(recipe.handler),
        ReconstructionSettings.model_validate_json(recipe.settings),
    )


def in_processes(recipe: Recipe, workers: int, jobs: Sequence[Job]) -> Generator[str, None, None]:
    """Does the jobs in `workers` processes of this machine, which end with this one or when the generator is closed.

    Raises:
      ConfigError: a script calls this without `if __name__ == "__main__":`.
      ReconstructionError: a process was ended by something else.
    """
    check_guarded("fitting with several workers", "fit with one")
    pool = make_pool(min(workers, max(len(jobs), 1)))
    try:
        yield from pool.map(partial(run_job, recipe), jobs)
    except BrokenProcessPool:
        time.sleep(0.5)  # a batch system that ends all processes may end these before its signal arrives here
        raise ReconstructionError(
            "--workers: a process was ended from outside, for want of memory perhaps. Finished files are kept: run the "
            "same command again, with fewer workers if it was memory."
        ) from None
    finally:
        stop_pool(pool)


def on_cluster(recipe: Recipe, address: str, jobs: Sequence[Job]) -> Generator[str, None, None]:
    """Does the jobs on the workers of a Dask scheduler, which see the same file system.

    Args:
      recipe: what to do.
      address: of the scheduler, such as tcp://host:8786.
      jobs: files and where their rows go.

    Raises:
      ReconstructionError: distributed is not installed, or nobody answers at the address.
    """
    with closing(_client(address)) as client:
        absolute = [(path.absolute(), part.absolute()) for path, part in jobs]
        futures = [client.submit(run_job, recipe, job, pure=False) for job in absolute]
        for future in futures:
            yield future.result()


def check_scheduler(address: str) -> None:
    """Raises ReconstructionError as `on_cluster`, before anything is written."""
    _client(address).close()


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ReconstructionError(
            "--scheduler needs Dask's distributed. Install it with: pip install 'evgen_jax[cluster]'."
        ) from None
    try:
        return Client(address, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise ReconstructionError(f"--scheduler: no Dask scheduler answers at {address} ({error}).") from None

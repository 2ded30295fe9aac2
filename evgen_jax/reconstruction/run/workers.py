"""Files spread over several processes of this machine or over a cluster."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from evgen_jax.building.model_files import members
from evgen_jax.building.named_models import is_named, load_model
from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.errors import ReconstructionError
from evgen_jax.main_guard import check_guarded
from evgen_jax.model.ensemble import AnyModel, Ensemble
from evgen_jax.processes import make_pool, stop_pool
from evgen_jax.reconstruction.run.program import FileJobs, Job, make_file_jobs


@dataclass(frozen=True)
class Recipe:
    """States what a process needs to fit a file, in plain values.

    Attributes:
      model_directories: exported, or the name of a model; several are an ensemble.
      handler: section data_handler_settings of a configuration, as JSON.
      settings: section reconstruction_settings of a configuration, as JSON.
      detector: path of the detector's table, of a model by name; None: its own.
      medium: of a model by name; None: its own.
      prepare: called once per process, such as one that registers the sources of a user.
    """

    model_directories: tuple[str, ...]
    handler: str
    settings: str
    detector: str | None = None
    medium: str | None = None
    # Copies that arrive in a worker hold functions that are not equal; they are the same recipe all the same.
    prepare: Callable[[], None] | None = field(default=None, compare=False)


def make_recipe(
    model_directories: Sequence[str],
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    detector: str | None = None,
    medium: str | None = None,
    prepare: Callable[[], None] | None = None,
) -> Recipe:
    """Makes the recipe of a fit of files.

    Args:
      model_directories: exported, or the name of a model; several are an ensemble.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.
      detector: path of the detector's table, of a model by name; None: its own.
      medium: of a model by name; None: its own.
      prepare: called once per process; must be picklable by name.

    Returns:
      The recipe.
    """
    names = tuple(name if is_named(name) else str(Path(name).absolute()) for name in model_directories)
    own = None if detector is None else str(Path(detector).absolute())
    return Recipe(names, handler.model_dump_json(), settings.model_dump_json(), own, medium, prepare)


def load_models(directories: Sequence[str], detector: str | None = None, medium: str | None = None) -> AnyModel:
    """Loads an exported model, a model by its name, or an ensemble of several.

    Args:
      directories: of models, or of ensembles that were exported as one directory; or the name of a model.
      detector: path of the detector's table, of a model by name; None: its own.
      medium: of a model by name; None: its own.

    Returns:
      The model; an ensemble if there are several.

    Raises:
      EvgenError: a directory that is no model, or members that do not belong together.
    """
    paths = [path for directory in map(Path, directories) for path in members(directory) or [directory]]
    models = [load_model(path, detector, medium) for path in paths]
    return models[0] if len(models) == 1 else Ensemble(models)


def run_job(recipe: Recipe, job: Job) -> str:
    """Fits one file in the process that it is called in.

    Args:
      recipe: what is needed for a fit.
      job: file with events, and where its rows go.

    Returns:
      Why the file could not be read; '' if it was.
    """
    return _prepared(recipe)(job)


@lru_cache(maxsize=1)
def _prepared(recipe: Recipe) -> FileJobs:
    if recipe.prepare:
        recipe.prepare()
    return make_file_jobs(
        load_models(recipe.model_directories, recipe.detector, recipe.medium),
        DataHandlerSettings.model_validate_json(recipe.handler),
        ReconstructionSettings.model_validate_json(recipe.settings),
    )


def in_processes(recipe: Recipe, workers: int, jobs: Sequence[Job]) -> Generator[str, None, None]:
    """Does the jobs in processes of this machine, which end with this one or when the generator is closed.

    Args:
      recipe: what a process needs.
      workers: largest number of processes.
      jobs: files and where their rows go.

    Yields:
      For each job why its file could not be read; '' if it was.

    Raises:
      ConfigError: a script calls this without `if __name__ == "__main__":`.
      ReconstructionError: a process was ended from outside.
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
    """Does the jobs on the workers of a Dask scheduler, which see the file system of this process.

    Args:
      recipe: what a process needs.
      address: of the scheduler, such as tcp://host:8786.
      jobs: files and where their rows go.

    Yields:
      For each job why its file could not be read; '' if it was.

    Raises:
      ReconstructionError: distributed is not installed, or nobody answers at the address.
    """
    with closing(_client(address)) as client:
        absolute = [(path.absolute(), part.absolute()) for path, part in jobs]
        futures = [client.submit(run_job, recipe, job, pure=False) for job in absolute]
        for future in futures:
            yield future.result()


def check_scheduler(address: str) -> None:
    """Checks that a Dask scheduler answers, before anything is written.

    Args:
      address: of the scheduler, such as tcp://host:8786.

    Raises:
      ReconstructionError: distributed is not installed, or nobody answers at the address.
    """
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

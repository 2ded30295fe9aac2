"""`evgen-jax batch`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.reconstruct import reconstruct
from evgen_jax.errors import ConfigError

REFUSED = {
    "shard": "--shard: the jobs are the shards; give --jobs alone.",
    "scheduler": "--scheduler: the jobs share the files already. Leave it out.",
}
"""Option of reconstruct that a batch cannot have -> why."""

LOOKED_AT = 3
"""Files of which one must be usable: jobs leave out a damaged one and go on."""


def _rehearse(given: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Begins as the jobs do, so that a model of another detector, say, does not end a hundred of them."""
    from evgen_jax.cli.fit_settings import data_and_fit
    from evgen_jax.errors import DataError
    from evgen_jax.reconstruction.run.seeds import make_seed_reader
    from evgen_jax.reconstruction.run.workers import load_models

    model = load_models((given["model"], *given["ensemble"]), given["detector"], given["medium"])
    own = (given[name] for name in ("config", "settings", "files", "seed"))
    handler, fit = data_and_fit(given["model"], model, *own)
    read, errors = make_seed_reader(model, handler, fit), list[DataError]()
    for path in paths[:LOOKED_AT]:
        try:
            read(path)
        except DataError as error:
            errors.append(error)
        else:
            return
    raise errors[-1]


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("system", type=click.Choice(["htcondor", "slurm"]))
@click.option("--jobs", required=True, type=click.IntRange(min=1), help="Number of jobs that share the files, at most.")
@click.option("--memory", default="4GB", show_default=True, help="Memory of a job, such as 8GB.")
@click.option("--cpus", default=1, show_default=True, type=click.IntRange(min=1), help="Cores that a job computes on.")
@click.option("--gpus", default=0, show_default=True, type=click.IntRange(min=0), help="GPUs of a job.")
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    help="Longest time of a job; it continues when it is run again.",
)
@click.option("--container", help="Image in which the jobs run, made from experiments/Dockerfile or evgen_jax.def.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="MODEL FILES... -o OUTPUT [OPTIONS]")
@click.pass_context
def batch(
    context: click.Context,
    system: str,
    jobs: int,
    memory: str,
    cpus: int,
    gpus: int,
    hours: float | None,
    container: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Print the submit file of a batch system whose jobs do what `evgen-jax reconstruct` does with the same arguments.

    Each job fits a shard of FILES into a table of its own, OUTPUT_i_of_n; shards whose table is there are left out.
    Model, settings and one of FILES are looked at first: what would end every job is told here. Print the submit file into a file
    and submit that: evgen-jax batch slurm --jobs 100 MODEL FILES... -o fits.hdf5 > fits.slurm
    """
    from evgen_jax.data.batches import files_as_given
    from evgen_jax.files import check_writable
    from evgen_jax.reconstruction.run.batch_system import SYSTEMS, Resources, read_memory
    from evgen_jax.reconstruction.run.shards import Shard, is_done, shard_files, shard_output
    from evgen_jax.reconstruction.run.table_file import check_output

    if any(word.partition("=")[0] in ("--num_threads", "--num-threads") for word in arguments):
        raise ConfigError("--num_threads: jobs compute on the cores that they ask for; give --cpus alone.")
    given = reconstruct.make_context("evgen-jax reconstruct", list(arguments), parent=context).params
    for name, why in REFUSED.items():
        if given[name]:
            raise ConfigError(why)
    resources = Resources(read_memory(memory), cpus, gpus, hours, container)
    output = Path(given["output"])
    check_output(output)
    check_writable(output.parent, f"-o {output}")
    paths = files_as_given(list(given["files"]))
    count = min(jobs, len(paths))
    shards = [Shard(number, count) for number in range(1, count + 1)]
    left = [own for own in shards if not is_done(shard_output(output, own), shard_files(given["files"], own))]
    if not left:
        click.echo(f"all {count} shards are done: {shard_output(output, shards[0])} and so on", err=True)
        return
    _rehearse(given, paths)
    output.parent.mkdir(parents=True, exist_ok=True)  # jobs log there, and begin only if they can
    root = context.find_root().params
    own = [word for path in root.get("sources", ()) for word in ("--sources", path)]
    own += ["--cache-dir", root["cache_dir"]] if root.get("cache_dir") else []
    own += [] if root.get("cache", True) else ["--no-cache"]
    command = [sys.executable, "-m", "evgen_jax", *own, "reconstruct", *arguments, "--num_threads", str(cpus)]
    click.echo(SYSTEMS[system](command, left, output, resources), nl=False)

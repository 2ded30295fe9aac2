"""Submit files for HTCondor and Slurm: one job per shard that is left, each of which continues where it was ended."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evgen_jax.errors import ConfigError
from evgen_jax.reconstruction.run.shards import Shard

IN_CONTAINER = "/opt/evgen_jax/bin/evgen-jax"
"""The command in an image made from `experiments/Dockerfile` or `experiments/evgen_jax.def`."""


@dataclass(frozen=True)
class Resources:
    """States what a job asks for.

    Attributes:
      memory: MB.
      cpus: cores, on which it computes.
      gpus: number of GPUs; 0: none.
      hours: after which it may be ended; None: what the batch system has.
      container: image in which it runs; None: no container.
    """

    memory: int = 4000
    cpus: int = 1
    gpus: int = 0
    hours: float | None = None
    container: str | None = None


def read_memory(text: str) -> int:
    """Reads an amount of memory.

    Args:
      text: such as '8GB', '8 GB' or '4000MB'.

    Returns:
      MB.

    Raises:
      ConfigError: no amount of memory.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([MG])i?B?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise ConfigError(f"--memory: expected an amount such as 8GB or 4000MB, got '{text}'.")
    return round(float(found[1]) * (1000 if found[2].upper() == "G" else 1))


def htcondor(command: Sequence[str], shards: Sequence[Shard], output: Path, resources: Resources) -> str:
    """Writes a submit file for HTCondor.

    Args:
      command: program and arguments of a job, without its shard.
      shards: that are left.
      output: table of the whole run, beside which jobs log.
      resources: what a job asks for.

    Returns:
      The file; submit it with condor_submit.
    """
    executable, *arguments = _in_container(command, resources)
    count, stem = shards[0].total, output.with_suffix("")
    given = " ".join([*map(_condor_word, arguments), "--shard", f"$(shard)/{count}"])
    lines = [
        f"# {len(shards)} of {count} shards are left. Submit with: condor_submit THIS_FILE",
        *(["universe = container", f"container_image = {resources.container}"] if resources.container else []),
        f"executable = {executable}",
        f'arguments = "{given}"',
        "transfer_executable = False",
        f"initialdir = {Path.cwd()}",
        f"log = {stem}.condor.log",
        f"output = {stem}_$(shard).out",
        f"error = {stem}_$(shard).err",
        f"request_cpus = {resources.cpus}",
        f"request_memory = {resources.memory}",
        *([f"request_gpus = {resources.gpus}"] if resources.gpus else []),
        *([f"allowed_job_duration = {round(3600 * resources.hours)}"] if resources.hours else []),
        f"queue shard in ({', '.join(str(shard.number) for shard in shards)})",
    ]
    return "\n".join(lines) + "\n"


def slurm(command: Sequence[str], shards: Sequence[Shard], output: Path, resources: Resources) -> str:
    """Writes a submit file for Slurm: a job array.

    Args:
      command: program and arguments of a job, without its shard.
      shards: that are left.
      output: table of the whole run, beside which jobs log.
      resources: what a job asks for.

    Returns:
      The file; submit it with sbatch.
    """
    count, stem = shards[0].total, output.with_suffix("")
    own = list(command)
    if resources.container:
        gpus = ["--nv"] if resources.gpus else []
        own = ["apptainer", "exec", *gpus, resources.container, *_in_container(command, resources)]
    lines = [
        "#!/bin/bash",
        f"# {len(shards)} of {count} shards are left. Submit with: sbatch THIS_FILE",
        f"#SBATCH --job-name={shlex.quote(stem.name)}",
        f"#SBATCH --array={','.join(str(shard.number) for shard in shards)}",
        f"#SBATCH --chdir={shlex.quote(str(Path.cwd()))}",
        f"#SBATCH --output={shlex.quote(str(stem).replace('%', '%%') + '_%a.out')}",
        f"#SBATCH --cpus-per-task={resources.cpus}",
        f"#SBATCH --mem={resources.memory}M",
        *([f"#SBATCH --gpus-per-task={resources.gpus}"] if resources.gpus else []),
        *([f"#SBATCH --time={round(60 * resources.hours)}"] if resources.hours else []),
        "#SBATCH --requeue",
        f'exec {shlex.join(own)} --shard "$SLURM_ARRAY_TASK_ID/{count}"',
    ]
    return "\n".join(lines) + "\n"


SYSTEMS: dict[str, Callable[[Sequence[str], Sequence[Shard], Path, Resources], str]] = {
    "htcondor": htcondor,
    "slurm": slurm,
}
"""Name of a batch system -> what writes its submit file."""


def _in_container(command: Sequence[str], resources: Resources) -> list[str]:
    """The command of this Python, or that of the image with the same arguments."""
    if not resources.container:
        return list(command)
    return [IN_CONTAINER, *command[command.index("evgen_jax") + 1 :]]


def _condor_word(word: str) -> str:
    """An argument as HTCondor's new syntax quotes it; $ would begin a macro."""
    own = word.replace("$", "$(DOLLAR)").replace('"', '""')
    return "'" + own.replace("'", "''") + "'" if not own or re.search(r"[\s']", own) else own

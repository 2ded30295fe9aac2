"""`evgen-jax plot-training`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say
from evgen_jax.cli.reference_options import log_level, num_threads


@click.command("plot-training", cls=Command)
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    default="training.png",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Figure to write.",
)
@click.option(
    "--true-likelihood", is_flag=True, help="Draw the validation loss of the true likelihood of simulated events, too."
)
@log_level
@num_threads
def plot_training(runs: tuple[str, ...], output: Path, true_likelihood: bool) -> None:
    """Draw the losses, learning rate, norm of gradients and throughput of trainings, over each other.

    RUNS are directories of trainings, manager_dir of their configurations.
    """
    from evgen_jax.errors import ConfigError
    from evgen_jax.files import check_writable
    from evgen_jax.report.plots.canvas import write
    from evgen_jax.report.plots.training import Run, training_curves
    from evgen_jax.report.trainings import read_training, true_validation_loss

    if output.suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"-o {output}: expected a name that ends with .png, .pdf or .svg.")
    found = [read_training(run) for run in runs]
    check_writable(output.parent, f"-o {output}")
    drawn = []
    for own in found:
        true = true_validation_loss(own) if true_likelihood else None
        drawn.append(Run(own.directory.name if len(runs) == 1 else str(own.directory), own.metrics, own.times, true))
    title = "Training" if len(runs) > 1 else f"Training {found[0].directory}"
    write(output, training_curves(drawn, title=title))
    say(f"wrote {output}")

"""Fit the test files of a configuration with the model as it is trained so far: python reconstruct_test_data.py CONFIG...

The files are data_iterator_settings.test.input_data, the table is reconstruction_settings.reco_output_file. Several configurations are
an ensemble; -r names another one, whose settings of the fit count.
"""

import sys

import click

from evgen_jax.cli.configuration import configuration, settings
from evgen_jax.cli.main import main
from evgen_jax.cli.reference_options import log_level, num_threads, reco_config_file


@click.command()
@configuration
@settings
@reco_config_file("Another configuration, whose settings of fits and of the likelihood count.")
@log_level
@num_threads
def reconstruct_test_data(config: tuple[str, ...], settings: tuple[str, ...], reco_config_file: str | None) -> None:
    """Fit the test files of CONFIG with the model as it is trained so far."""
    from evgen_jax.building.experiment import iterator
    from evgen_jax.config.validate import load_members
    from evgen_jax.errors import ConfigError
    from evgen_jax.model.ensemble import Ensemble
    from evgen_jax.reconstruction.run.program import reconstruct_files
    from evgen_jax.training.export import with_fit_of
    from evgen_jax.training.restore import trained_model

    members = load_members(config, settings)
    if reco_config_file:
        members = [with_fit_of(member, reco_config_file) for member in members]
    first = members[0]
    files, fit = iterator(first, "test").input_data, first.reconstruction_settings
    if fit.reco_output_file is None:
        raise ConfigError(f"{reco_config_file or config[0]}: reconstruction_settings.reco_output_file: is missing.")
    models = [trained_model(member) for member in members]
    model = models[0] if len(models) == 1 else Ensemble(models)
    files = [files] if isinstance(files, str) else list(files)
    done = reconstruct_files(model, files, fit.reco_output_file, first.data_handler_settings, fit)
    click.echo(f"{done}; wrote {fit.reco_output_file}")
    if done.failed or done.lost:
        sys.exit(3)


if __name__ == "__main__":
    main(reconstruct_test_data)

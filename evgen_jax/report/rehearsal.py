"""What a configuration would do with its data: everything that a training looks at before its first step."""

from collections.abc import Sequence
from pathlib import Path

from evgen_jax.building.experiment import trafo_iterator
from evgen_jax.building.losses import build_loss
from evgen_jax.building.parts import experiment_detector, experiment_source, hypothesis_parameters
from evgen_jax.building.sphere_around import sphere_doubt
from evgen_jax.config.records import ExperimentConfig, IteratorSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import INSPECTED_FILES, find_files
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.labels import label_log_flags
from evgen_jax.data.plausibility import LabelReport
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.trafo import TRAFO_FILE
from evgen_jax.report.inventory import detector_lines
from evgen_jax.training.optimizer import build_optimizer


def rehearse(paths: Sequence[str], settings: Sequence[str] = (), files: Sequence[str] = ()) -> tuple[list[str], int]:
    """Checks a configuration with its data, or with other files.

    Args:
      paths: of the configuration; a later file overrides an earlier one.
      settings: 'section.key=value' each.
      files: event files or patterns, in place of those that the configuration names.

    Returns:
      Lines of text, and how many files cannot be used.

    Raises:
      ConfigError: a configuration that cannot be used: its sources, loss, optimiser and flags of logarithms are made.
      DataError: given files that cannot be read.
    """
    config = load_config(list(paths), list(settings))
    detector, parameters = experiment_detector(config), hypothesis_parameters(config)
    # What a training makes before it looks at data: unknown classes and settings that cannot be end here.
    build_loss(config.loss_module_settings)
    build_optimizer(config.training_settings)
    label_log_flags(config.data_handler_settings)
    lines = [f"{', '.join(paths)}: {config.unique_name}"]
    lines += [f"  detector {line}" if not line.startswith(" ") else f"  {line}" for line in detector_lines(detector)]
    lines.append(f"  {len(parameters)} parameters: {', '.join(parameter.name for parameter in parameters)}")
    if doubt := sphere_doubt(experiment_source(config), detector):
        lines.append(f"  doubtful: {doubt}")
    lost = 0
    iterators: dict[str, IteratorSettings | None] = {
        name: getattr(config.data_iterator_settings, name) for name in ("training", "validation", "trafo")
    }
    if files:
        own, lost = _of_files("given files", find_files(list(files)), config, True)
        lines += own
    else:
        for name, iterator in iterators.items():
            if iterator is not None:
                own, more = _of_iterator(name, iterator, config)
                lines, lost = lines + own, lost + more
    trafo = Path(config.data_trafo_settings.model_dir) / TRAFO_FILE
    given = trafo_iterator(config).input_data
    patterns = given if isinstance(given, str) else ", ".join(given)
    lines.append(
        f"  transformation: {trafo} is there"
        if trafo.is_file()
        else f"  transformation: {trafo} is not there; evgen-jax create-trafo makes it from {patterns}"
    )
    steps = config.training_settings.num_training_iterations
    lines.append(f"  train would make {steps} steps of {config.data_iterator_settings.training.batch_size} events")
    return lines, lost


def _of_iterator(name: str, iterator: IteratorSettings, config: ExperimentConfig) -> tuple[list[str], int]:
    try:
        paths = find_files(iterator.input_data)
    except DataError as error:
        return [f"  {name}: {error}"], 0  # before a simulation, say
    return _of_files(name, paths, config, False)


def _of_files(name: str, paths: Sequence[Path], config: ExperimentConfig, every: bool) -> tuple[list[str], int]:
    """Lines on some files (the first ones, or every one of those that a user gave), and how many cannot be used."""
    detector, parameters = experiment_detector(config), hypothesis_parameters(config)
    lost = 0
    report, lines, chosen = LabelReport(parameters, detector), [], paths if every else paths[:INSPECTED_FILES]
    for path in chosen:
        try:
            file = read_event_file(path, config.data_handler_settings, detector, parameters=parameters)
        except DataError as error:
            lines.append(f"    {error}")
            lost += 1
            continue
        compare_with_detector(file, detector)
        report.add(file)
        lost += len(file) > 0 and not file.good
        lines += [f"    {file.notes()}"] if file.notes() else []
    looked = "" if len(chosen) == len(paths) else f", the first {len(chosen)} looked at"
    head = f"  {name}: {len(paths)} files{looked}: {report.count} events with labels, {report.dark} without a pulse"
    table = [f"    {line}" for line in report.table().splitlines()] if report.count else []
    doubts = [f"    doubtful: parameter {doubt}" for doubt in report.doubts()]
    return [head, *lines, *table, *doubts], lost

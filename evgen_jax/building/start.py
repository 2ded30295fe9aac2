"""A configuration to start from: commented text that runs, for a hypothesis, a detector and files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from evgen_jax.building.model import build_source, hypothesis_of
from evgen_jax.building.sphere_around import sphere_doubt
from evgen_jax.config.reader import read_setting
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector

AROUND_CASCADE, AROUND_TRACK = ("invariant", "medium"), ("invariant", "track", "medium")
"""Inputs of the networks."""
BEYOND = 100.0
"""m, by which the sphere of entering tracks exceeds the detector."""
OWN_FILES = 7
"""Number of simulated files to train on; one more is for validation."""
EVENTS_PER_FILE = 125
"""Number of events in a simulated file."""
MARGIN = 0.8
"""Share of the detector's extent in which cascades are simulated."""
SIMULATION = """
# Events with light from tables of photon transport: evgen-jax simulate CONFIG -o DIRECTORY
simulation_settings:
  num_events: {events}
  events_per_file: {per_file}
  single_photoelectron_charge: False
  readout_window: [0.0, 20000.0]  # ns
  ranges:  # m, GeV; what is not listed has the usual range
{ranges}
"""


@dataclass(frozen=True)
class Beginning:
    """States what a configuration of one hypothesis holds.

    Attributes:
      title: of the configuration.
      source: name of the source, with which the names of its parameters begin.
      model_class: of the learned source.
      inputs: of its network.
      settings: further settings of its network, lines of YAML.
      ranges: of simulated parameters, besides those of the place.
      place: whether x, y and z are simulated within the detector.
      number: of cascades, of which a source of more than one consists.
    """

    title: str
    source: str
    model_class: str
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    place: bool = True
    number: int = 1


CASCADE = ("scale_charge_by_light: True  # the network corrects the light of the table",)
"""Settings of the network of a cascade."""
TRACK = (
    "sphere_radius: {radius}  # m, of the sphere around the detector that the track enters",
    "scale_charge: False",
    "scale_charge_by_diffusion: True  # the network corrects diffusion in lengths along the way",
    "light_along_way: True",
)
"""Settings of the network of a track."""
HYPOTHESES = {
    "cascade": Beginning(
        "A cascade with noise", "cascade", "DefaultCascadeModel", AROUND_CASCADE, CASCADE, {"energy": (1e3, 3e4)}
    ),
    "two-cascades": Beginning(
        "Two cascades on one line, with noise", "double", "DefaultCascadeModel", AROUND_CASCADE, CASCADE,
        {"energy": (1e3, 3e4), "cascade_energy": (1e3, 3e4), "cascade_distance": (20.0, 150.0)}, number=2,
    ),
    "starting-track": Beginning(
        "Ten cascades along a track that starts, with noise", "track", "DefaultCascadeModel", AROUND_CASCADE, CASCADE,
        {"energy": (3e2, 1e4), "cascade_energy": (3e2, 1e4), "cascade_distance": (10.0, 80.0)}, number=10,
    ),
    "track": Beginning(
        "A track through the detector, with noise", "track", "EnteringSphereInfTrack", AROUND_TRACK, TRACK,
        {"entry_energy": (1e3, 1e5)}, place=False,
    ),
}  # fmt: skip
"""Hypotheses of which there is a beginning."""


def beginning(hypothesis: str) -> Beginning:
    """Finds what a configuration of a hypothesis holds.

    Args:
      hypothesis: name, of `HYPOTHESES`.

    Returns:
      The beginning.

    Raises:
      ConfigError: an unknown name; the nearest match is named.
    """
    if hypothesis not in HYPOTHESES:
        raise ConfigError(
            f"hypothesis '{hypothesis}' is unknown; known: {', '.join(HYPOTHESES)}."
            + suggestion(hypothesis, HYPOTHESES)
        )
    return HYPOTHESES[hypothesis]


def model_text(own: Beginning, detector: Detector) -> str:
    """Writes the section of the source.

    Args:
      own: what it holds.
      detector: gives the radius of the sphere that tracks enter.

    Returns:
      Lines of YAML, not indented.
    """
    radius = float(np.linalg.norm(np.asarray(detector.position), axis=1).max()) + BEYOND
    more = [line.format(radius=round(radius, -1)) for line in own.settings]
    text = _template("network").replace("@class@", own.model_class).replace("@inputs@", _plain(own.inputs))
    text = text.replace("@more@", "\n".join(f"  {line}" for line in more)).rstrip()
    if own.number == 1:
        return text
    head = f"model_class: StartingVariableMultiCascadeModel\nconfig: {{num_cascades: {own.number}}}"
    return f"{head}\nmulti_source_bases:\n  cascade:\n{_indented(text, 4)}"


def parameters_in(own: Beginning, detector: Detector) -> tuple[Parameter, ...]:
    """Lists the parameters of the hypothesis, as tables name them.

    Args:
      own: what the configuration holds.
      detector: that it is for.

    Returns:
      The parameters of the source beside noise.
    """
    return hypothesis_of(_whole(own, detector))


def doubt_about(own: Beginning, detector: Detector) -> str | None:
    """Finds out whether tracks of the configuration can be expected to cross the detector.

    Args:
      own: what the configuration holds.
      detector: that it is for.

    Returns:
      One line with the remedy, as of `sphere_doubt`; None where all is well.
    """
    return sphere_doubt(build_source(_whole(own, detector))[0], detector)


def _whole(own: Beginning, detector: Detector) -> ModelSettings:
    """The model section: the source beside noise."""
    sections = {
        own.source: read_setting(f"model={model_text(own, detector)}")[1],
        "noise": {"model_class": "DefaultNoiseModel"},
    }
    sections["noise"] |= {"decoder_charge_settings": {"decoder_class": "PoissonDecoder"}}
    whole = {
        "model_class": "IndependentMultiSource",
        "config": {"sources": {name: name for name in sections}},
        "multi_source_bases": sections,
    }
    return ModelSettings.model_validate(whole)


def starting_configuration(
    own: Beginning,
    detector: Detector,
    *,
    name: str,
    geometry: str = "icecube86",
    medium: str = "south_pole",
    tables: Mapping[str, Any] | None = None,
    label_key: str = "Labels",
    label_names: Sequence[str] = (),
    seed: str = "SmearedSeed",
    training: Sequence[str] = (),
    validation: Sequence[str] = (),
) -> str:
    """Writes a configuration with comments.

    Args:
      own: what it holds.
      detector: that it is for.
      name: of the configuration, `unique_name`.
      geometry: key of the detector.
      medium: key of its medium.
      tables: keys of data_settings with the names of tables; None: those of simulated events.
      label_key: table of the truth.
      label_names: its columns in the order of the hypothesis; none: they are named as the parameters.
      seed: table of seeds.
      training: files to train on; none: events are simulated, and the configuration says how.
      validation: files that take no part in the training.

    Returns:
      YAML with comments.
    """
    parameters = parameters_in(own, detector)
    commands = ["create-trafo {name}.yaml", "train {name}.yaml", "export {name}.yaml -o model"]
    simulation = ""
    if not training:
        commands.insert(0, "simulate {name}.yaml -o events")
        training = [f"{{directory}}/events/{name}_00000[0-{OWN_FILES - 1}].hdf5"]
        validation = [f"{{directory}}/events/{name}_{OWN_FILES:06d}.hdf5"]
        simulation = _simulation(own, detector)
        tables = {
            "pulse_key": "MCPulses",
            "event_id_key": label_key,
            "dom_exclusions_key": "BadDomsList",
            "time_exclusions_key": None,
            "readout_window_key": "ReadoutWindow",
        }
    filled = {
        "title": f"{own.title}, in {detector.name}.",
        "commands": "\n".join(f"#   evgen-jax {line.format(name=name)}" for line in commands),
        "name": _plain(name),
        "geometry": _plain(geometry),
        "medium": _plain(medium),
        "simulation": simulation.rstrip("\n"),
        "tables": "\n".join(f"    {key}: {_plain(value)}" for key, value in (tables or {}).items()),
        "labels": _plain(label_key),
        "parameters": _plain(list(label_names) or [parameter.name for parameter in parameters]),
        "log": _plain([parameter.log for parameter in parameters]),
        "training": _plain(list(training)),
        "validation": _plain(list(validation)),
        "seed": _plain(seed),
        "source": own.source,
        "model": _indented(model_text(own, detector), 6),
    }
    text = _template("frame")
    for key, value in filled.items():
        text = text.replace(f"@{key}@", value)
    return text


def _simulation(own: Beginning, detector: Detector) -> str:
    """The section of simulated events."""
    ranges: dict[str, tuple[float, float]] = {}
    if own.place:
        position = np.asarray(detector.position, np.float64)
        middle, half = (position.max(axis=0) + position.min(axis=0)) / 2, np.ptp(position, axis=0) / 2
        for key, at, width in zip("xyz", middle, MARGIN * half, strict=True):
            ranges[key] = (round(at - width), round(at + width))
    lines = [f"    {key}: [{low:g}, {high:g}]" for key, (low, high) in (ranges | dict(own.ranges)).items()]
    count = (OWN_FILES + 1) * EVENTS_PER_FILE
    return SIMULATION.format(events=count, per_file=EVENTS_PER_FILE, ranges="\n".join(lines))


def _template(name: str) -> str:
    return (resources.files("evgen_jax") / "tables" / "start" / f"{name}.yaml").read_text()


def _indented(text: str, count: int) -> str:
    return "\n".join(" " * count + line if line else line for line in text.splitlines())


def _plain(value: Any) -> str:
    """A value as YAML on one line."""
    return json.dumps(value)

"""Check whether labels, pulses and detector can belong together: units and origins that no reader can see."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evgen_jax.data.batches import dark_events
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.light_of_events import MARGIN, charge_and_time, forwardness, light_per_gev
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.hypothesis.parameters import POSITIONS, Parameter
from evgen_jax.hypothesis.roles import ENERGIES, FACTORS, LENGTHS, TIMES
from evgen_jax.measurement.detector import Detector

AZIMUTHS = ("azimuth", "entry_azimuth")
EVENTS_PER_FILE = 200
"""Number of events of a file whose pulses are compared with their labels; means and ranges are those of all events."""
TOO_BRIGHT = 50.0
"""Ratio of measured to expected light beyond which an energy is doubted."""
FAR = 10.0
"""Ratio of a distance to the detector's size, or of a time to its crossing time, beyond which a label is doubted."""
LIGHT_SPEED = 0.2
"""Speed of light that is scattered a little, m/ns."""
FEWEST_EVENTS = 20
"""Smallest number of events whose directions are doubted."""
SIGNIFICANT = 5.0
"""Errors of the mean by which light must lie behind the vertex."""
_PLACE = (*POSITIONS, "zenith", "azimuth")


@dataclass
class LabelReport:
    """Collects what the labels of some files are, and what their pulses say about them; files are added one by one.

    Attributes:
      parameters: H of them, in the order of the labels.
      detector: for which the events are.
      count: number of events with labels so far.
      dark: number of events without a pulse.
      files: number of files.
      low: [H], smallest labels, physical units.
      high: [H], largest labels, physical units.
      mean: [H], mean labels, physical units.
      readout: begin and end of all readout windows, ns.
    """

    parameters: tuple[Parameter, ...]
    detector: Detector
    count: int = 0
    dark: int = 0
    files: int = 0
    low: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    high: np.ndarray = field(default_factory=lambda: np.array(-np.inf))
    mean: np.ndarray = field(default_factory=lambda: np.zeros(()))
    readout: tuple[float, float] = (np.inf, -np.inf)
    _squares: np.ndarray = field(default_factory=lambda: np.zeros(()))
    _sample: list[np.ndarray] = field(default_factory=list)

    def add(self, file: EventFile, most: int | None = None) -> None:
        """Takes the events of a file into account.

        Args:
          file: events with labels [E, H].
          most: number of events that are used, the first that can be; None: all.
        """
        labels, good = usable_labels(file)[:most], np.asarray(file.good, np.int64)[:most]
        dark = dark_events(file)[good]
        self.files += 1
        self.dark += int(dark.sum())
        if not len(labels):
            return
        total, delta = self.count + len(labels), labels.mean(axis=0) - self.mean
        self._squares = self._squares + labels.var(axis=0) * len(labels) + delta**2 * self.count * len(labels) / total
        self.mean, self.count = self.mean + delta * len(labels) / total, total
        self.low, self.high = np.minimum(self.low, labels.min(axis=0)), np.maximum(self.high, labels.max(axis=0))
        readout = (file.packed.readout - file.anchors[:, None])[good]
        begin, end = readout[:, 0].min(), readout[:, 1].max()
        self.readout = (min(self.readout[0], float(begin)), max(self.readout[1], float(end)))
        lit = np.flatnonzero(~dark)
        chosen = lit[np.unique(np.linspace(0, len(lit) - 1, EVENTS_PER_FILE).astype(int))] if len(lit) else lit
        light = np.array([self._light(file, int(good[i]), labels[i]) for i in chosen]).reshape(-1, 3)
        self._sample.append(np.concatenate([labels[chosen], light], axis=1))

    @property
    def std(self) -> np.ndarray:
        """Returns the standard deviations of the labels [H], physical units."""
        return np.sqrt(self._squares / max(self.count, 1))

    def _light(self, file: EventFile, i: int, label: np.ndarray) -> tuple[float, float, float]:
        """Charge of an event, the time at which half of it has come, and how far it lies ahead of the vertex."""
        ahead = np.nan
        if all(role in self._places for role in _PLACE):
            x, y, z, zenith, azimuth = (label[self._places[role]] for role in _PLACE)
            ahead = forwardness(file, i, np.array([x, y, z]), zenith, azimuth, self.detector)
        return *charge_and_time(file, i), ahead

    @property
    def _places(self) -> dict[str | None, int]:
        """Place of each parameter by its role; of equal roles the first, which is that of the first source."""
        return {p.role: i for i, p in reversed(list(enumerate(self.parameters)))}

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns some events with light.

        Returns:
          Labels [S, H], charges [S], PE, and the times [S], ns, at which half of the charge has come.
        """
        rows = np.concatenate(self._sample) if self._sample else np.zeros((0, len(self.parameters) + 3))
        return rows[:, :-3], rows[:, -3], rows[:, -2]

    def _shown(self, values: np.ndarray) -> np.ndarray:
        """Labels in the coordinates of the files."""
        return relative_to_origin(self.detector, self.parameters, values, +1)

    def table(self) -> str:
        """Returns mean, spread and range of every parameter beside the detector and the readout, as lines of text."""
        width = max([len(p.name) for p in self.parameters] + [9])
        lines = [f"{'parameter':{width}}  {'mean':>11} {'spread':>11} {'lowest':>11} {'highest':>11}"]
        columns = (self._shown(self.mean), self.std, self._shown(self.low), self._shown(self.high))
        for own, *numbers in zip(self.parameters, *columns, strict=True):
            lines.append(f"{own.name:{width}}  {' '.join(f'{v:11.5g}' for v in numbers)} {own.unit}".rstrip())
        position = np.asarray(self.detector.position, np.float64) + np.asarray(self.detector.origin)
        low, high = position.min(axis=0), position.max(axis=0)
        extent = ", ".join(f"{axis} {a:.5g} to {b:.5g}" for axis, a, b in zip("xyz", low, high, strict=True))
        lines.append(
            f"{self.count} events; detector: {extent} m; readout: {self.readout[0]:.6g} to {self.readout[1]:.6g} ns"
        )
        return "\n".join(lines)

    def doubts(self) -> list[str]:
        """Finds the parameters that cannot belong to this detector and these pulses.

        Returns:
          One line per parameter, with the likely unit.
        """
        roles = [parameter.role for parameter in self.parameters]
        if not self.count:
            return []
        found: list[str] = []
        for i, role in enumerate(roles):
            found += self._position(i, POSITIONS.index(role)) if role in POSITIONS else []
            found += self._time(i) if role in TIMES else []
            found += self._simple(i, role)
        found += self._energies([i for i, role in enumerate(roles) if role in ENERGIES])
        return found or self._directions()

    def _extent(self) -> tuple[np.ndarray, float]:
        """Returns centre [3] and half the largest extent of the detector, m, the latter at least `MARGIN`."""
        position = np.asarray(self.detector.position, np.float64)
        low, high = position.min(axis=0), position.max(axis=0)
        return (low + high) / 2, max(float((high - low).max()) / 2, MARGIN)

    def _position(self, i: int, axis: int) -> list[str]:
        centre, half = self._extent()
        values = self.sample()[0][:, i] if self._sample else np.zeros(0)
        if not len(values):
            values = np.array([self.low[i], self.mean[i], self.high[i]])
        distance = float(np.median(np.abs(values - centre[axis])))
        if distance > FAR * half:
            units = {"mm": 1e3, "cm": 1e2}
            # In the right unit half of the vertices are within half of the detector, more or less.
            unit = min(units, key=lambda u: abs(np.log(distance / units[u] / half / 0.5)))
            likely = f"is it in {unit}?" if self.std[i] > FAR / 2 * half else "are its coordinates of another origin?"
            return [
                self._doubt(
                    i,
                    f"half of the events are farther than {distance:.3g} m from the detector's centre, its "
                    f"modules within {half:.3g} m: {likely} Expected m.",
                )
            ]
        if self.std[i] > 0 and max(abs(self.low[i]), abs(self.high[i])) < half / 25:
            return [
                self._doubt(
                    i,
                    f"all within {max(abs(self.low[i]), abs(self.high[i])):.3g} m, the detector's modules "
                    f"within {half:.3g} m: is it in km? Expected m.",
                )
            ]
        return []

    def _time(self, i: int) -> list[str]:
        labels, _, times = self.sample()
        if not len(times):
            return []
        units = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
        label = labels[:, i]
        apart = {(unit, "it"): float(np.median(np.abs(times - factor * label))) for unit, factor in units.items()}
        apart |= {
            (unit, "the time of pulses"): float(np.median(np.abs(factor * times - label)))
            for unit, factor in units.items()
            if unit != "ns"
        }
        (unit, which), as_it_is = min(apart, key=lambda own: apart[own]), apart["ns", "it"]
        crossing = 2 * self._extent()[1] / LIGHT_SPEED
        what = f"the light of half of the events is more than {as_it_is:.4g} ns from it"
        if unit != "ns" and as_it_is > 1000 and apart[unit, which] < 0.5 * as_it_is:
            return [self._doubt(i, f"{what}: is {which} in {unit}? Expected ns.")]
        if as_it_is > FAR * crossing:
            return [self._doubt(i, f"{what}: do its times begin elsewhere than those of the pulses? Expected ns.")]
        return []

    def _energies(self, places: Sequence[int]) -> list[str]:
        if not places:
            return []
        labels, charge, _ = self.sample()
        values = labels[:, list(places)].sum(axis=1)
        good = (values > 0) & (charge > 0)
        if not good.any():
            return []
        values, charge = values[good], charge[good]
        expected = light_per_gev(self.detector)
        measured = float(np.median(charge / values))
        if measured < TOO_BRIGHT * expected:
            return []
        logs = {"TeV": np.log(1e3 * values)}
        if len(places) == 1 and values.max() < 35:
            logs |= {"log10(E / GeV)": np.log(10) * values, "ln(E / GeV)": values}
        # In the right unit the light is in proportion to the energy, and not too bright any more.
        bright = {unit: np.log(charge) - log for unit, log in logs.items()}
        scatter = {
            unit: float(np.std(ratio))
            for unit, ratio in bright.items()
            if np.exp(np.median(ratio)) < TOO_BRIGHT / 5 * expected
        } or {"TeV": 0.0}
        likely = [unit for unit in scatter if scatter[unit] <= 1.1 * min(scatter.values())]
        text = (
            f"half of the events have more than {measured:.3g} PE per GeV, where this detector sees about "
            f"{expected:.2g} in its midst: is it in {' or '.join(likely)}? Expected GeV."
        )
        return [self._doubt(places[0], text, more=len(places) - 1)]

    def _directions(self) -> list[str]:
        """Doubts directions whose light lies behind the vertex; the vertex itself is not in doubt."""
        ahead = np.concatenate(self._sample)[:, -1] if self._sample else np.zeros(0)
        ahead = ahead[np.isfinite(ahead)]
        if len(ahead) < FEWEST_EVENTS or ahead.mean() > -SIGNIFICANT * ahead.std() / np.sqrt(len(ahead)):
            return []
        text = (
            f"the light lies behind the vertex (mean cosine {ahead.mean():.2f} of {len(ahead)} events): do zenith and azimuth say "
            "where the particle goes? Expected the direction that it comes from."
        )
        return [self._doubt(self._places["zenith"], text)]

    def _simple(self, i: int, role: str | None) -> list[str]:
        """Doubts azimuths, lengths and factors by their range alone."""
        if role in AZIMUTHS and max(abs(self.low[i]), abs(self.high[i])) > 2 * np.pi + 0.01:
            return [self._doubt(i, "is it in degrees? Expected radians.")]
        if role in LENGTHS and self.mean[i] > 4 * FAR * self._extent()[1]:
            return [
                self._doubt(
                    i,
                    f"the detector's modules are within {self._extent()[1]:.3g} m of its centre: is it in mm "
                    "or cm? Expected m.",
                )
            ]
        if role in FACTORS and not 0.1 < self.mean[i] < 10:
            return [self._doubt(i, "expected a factor around 1: is it in per cent, or another quantity?")]
        return []

    def _doubt(self, i: int, text: str, more: int = 0) -> str:
        others = f" (and {more} more energies)" if more else ""
        low, high = self._shown(self.low)[i], self._shown(self.high)[i]
        return f"'{self.parameters[i].name}'{others} from {low:.4g} to {high:.4g}: {text}"


def usable_labels(file: EventFile) -> np.ndarray:
    """Returns the labels of the events that can be used, as a training sees them.

    Args:
      file: events of one file.

    Returns:
      Labels [E, H], float64; H = 0 without labels.
    """
    labels = file.relative_labels()
    return np.zeros((len(file.good), 0)) if labels is None else np.asarray(labels, np.float64)[file.good]

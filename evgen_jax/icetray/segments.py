"""Tray segments: exclusions, pulses and fit in one line of a script, with the arguments of Event-Generator's segments."""

from collections.abc import Callable, Sequence
from typing import Any

from icecube import icetray

from evgen_jax.errors import DataError
from evgen_jax.icetray import reading, writing
from evgen_jax.icetray.exclusions import bright_sensors, check_keys, combined, merged, outside_exclusions
from evgen_jax.icetray.reconstruction_module import EventGeneratorReconstruction
from evgen_jax.icetray.settings import PARAMETERS, check_names
from evgen_jax.icetray.visualize_module import PARAMETERS as OF_FIGURES
from evgen_jax.icetray.visualize_module import EventGeneratorVisualizeBestFit

EXCLUSIONS = ("BadDomsList", "CalibrationErrata", "SaturationWindows")
"""Keys of the usual exclusions."""
MADE = ("BrightDOMs", "DOMs", "TimeWindows", "Pulses", "PulsesMerged")
"""Ends of the keys that are made for a fit, behind `<name>CombinedExclusions`."""


def make_exclusions(
    name: str,
    pulse_key: str,
    exclusions: Sequence[str],
    partial: bool,
    bright: tuple[float, float] | None,
    merge: float | None,
) -> Callable[[Any], None]:
    """Makes a function that writes what takes part in a fit into frames.

    Args:
      name: begin of the keys that are written.
      pulse_key: of the pulses.
      exclusions: keys of modules and time windows that take no part.
      partial: whether modules with time windows take part outside of these.
      bright: share of the charge and charge (PE) above which a module is excluded; None: none is.
      merge: ns, pulses closer than this are merged; None: none are.

    Returns:
      Function of a frame. Of a frame that has no such pulses it writes why, under `<name>PulsesFault`.
    """
    kept = f"{name}Pulses" if merge is None else f"{name}PulsesMerged"

    def exclude(frame: Any) -> None:
        try:
            pulses = reading.read_pulses(frame, pulse_key)
            sensors, windows, _ = reading.read_exclusions(frame, exclusions)
        except DataError as error:
            writing.put(frame, reading.fault_key(kept), str(error))
            return
        if bright is not None:
            too_bright = bright_sensors(pulses, *bright)
            writing.put(frame, f"{name}BrightDOMs", writing.to_sensors(too_bright))
            sensors.append(too_bright)
        excluded, partly = combined(sensors, windows, partial)
        writing.put(frame, f"{name}DOMs", writing.to_sensors(excluded))
        writing.put(frame, f"{name}TimeWindows", writing.to_windows(partly))
        outside = outside_exclusions(pulses, excluded, partly)
        writing.put(frame, f"{name}Pulses", writing.selected_pulses(frame, pulse_key, pulses, outside))
        if merge is not None:
            pulses = reading.read_pulses(frame, f"{name}Pulses", flags=True)
            writing.put(frame, kept, writing.to_pulses(merged(pulses, merge)))

    return exclude


def _add_exclusions(
    tray: Any,
    name: str,
    pulse_key: str,
    exclusions: Sequence[str],
    partial: bool,
    bright: tuple[float, float] | None,
    merge: float | None,
    condition: Callable[[Any], bool] | None,
) -> dict[str, Any]:
    """Adds the module that combines exclusions; returns the parameters of a fit."""
    begin = f"{name}CombinedExclusions"
    exclude = make_exclusions(begin, pulse_key, check_keys(exclusions, "dom_and_tw_exclusions"), partial, bright, merge)
    chosen = {} if condition is None else {"If": condition}
    tray.AddModule(exclude, f"{name}_combine_exclusions", Streams=[icetray.I3Frame.Physics], **chosen)
    return {
        "pulse_key": f"{begin}Pulses" if merge is None else f"{begin}PulsesMerged",
        "dom_exclusions_key": f"{begin}DOMs",
        "time_exclusions_key": f"{begin}TimeWindows",
        **chosen,
    }


def _add_clean_up(tray: Any, name: str) -> None:
    begin = f"{name}CombinedExclusions"
    keys = [begin + end for end in MADE]
    keys += [reading.fault_key(key) for key in keys]

    def clean_up(frame: Any) -> None:
        for key in keys:
            if frame.Has(key):
                frame.Delete(key)

    tray.AddModule(clean_up, f"{name}_clean_up", Streams=[icetray.I3Frame.Physics])


@icetray.traysegment  # type: ignore[untyped-decorator]
def ApplyEventGeneratorReconstruction(
    tray: Any,
    name: str,
    pulse_key: str = "SplitInIceDSTPulses",
    dom_and_tw_exclusions: Sequence[str] = EXCLUSIONS,
    partial_exclusion: bool = True,
    exclude_bright_doms: bool = True,
    bright_doms_threshold_fraction: float = 0.4,
    bright_doms_threshold_charge: float = 100.0,
    merge_pulses_time_threshold: float | None = None,
    clean_up: bool = True,
    If: Callable[[Any], bool] | None = None,
    **kwargs: Any,
) -> None:
    """Leaves out what does not take part and fits the events of P frames.

    Helpers are in the frame while modules of the segment run, and behind it with `clean_up` False, under
    `<name>CombinedExclusions` and: BrightDOMs and DOMs (I3VectorOMKey), TimeWindows (I3TimeWindowSeriesMap), Pulses (I3RecoPulseSeriesMap,
    without pulses in the windows and at these modules), PulsesMerged. Pulses at modules that take no part are removed; `evgen-jax
    reconstruct` keeps their arrival times unless data_settings.discard_pulses_from_excluded_doms is True. Output keys are those of the
    module EventGeneratorReconstruction.

    Args:
      tray: to which modules are added.
      name: begin of the keys of helpers, `<name>CombinedExclusions`...
      pulse_key: of the pulses.
      dom_and_tw_exclusions: keys of modules and time windows that take no part; those that a frame lacks exclude nothing.
      partial_exclusion: whether modules with time windows take part outside of these; False: they take no part.
      exclude_bright_doms: whether modules with too much charge take no part.
      bright_doms_threshold_fraction: share of the event's charge above which a module has too much.
      bright_doms_threshold_charge: PE, which a module with too much charge exceeds as well.
      merge_pulses_time_threshold: ns, pulses closer than this become one; None: pulses stay as they are.
      clean_up: whether helpers are deleted behind the fit.
      If: function of a frame that tells whether its event is fitted; None: all are.
      **kwargs: parameters of the module EventGeneratorReconstruction: seed_keys and model_names at least.

    Raises:
      EvgenError: an unknown parameter, or one that cannot be.

    Example:
      tray.Add(ApplyEventGeneratorReconstruction, "fit", model_names="DIR", seed_keys=["L5MonopodFit4"], output_key="EG")
    """
    check_names(kwargs, tuple(PARAMETERS), "ApplyEventGeneratorReconstruction")
    bright = (bright_doms_threshold_fraction, bright_doms_threshold_charge) if exclude_bright_doms else None
    keys = _add_exclusions(
        tray, name, pulse_key, dom_and_tw_exclusions, partial_exclusion, bright, merge_pulses_time_threshold, If
    )
    tray.AddModule(EventGeneratorReconstruction, f"{name}_reconstruction", **keys, **kwargs)
    if clean_up:
        _add_clean_up(tray, name)


@icetray.traysegment  # type: ignore[untyped-decorator]
def ApplyEventGeneratorVisualizeBestFit(
    tray: Any,
    name: str,
    pulse_key: str = "SplitInIceDSTPulses",
    dom_and_tw_exclusions: Sequence[str] = EXCLUSIONS,
    partial_exclusion: bool = True,
    exclude_bright_doms: bool = True,
    bright_doms_threshold_fraction: float = 0.4,
    bright_doms_threshold_charge: float = 100.0,
    merge_pulses_time_threshold: float | None = None,
    clean_up: bool = True,
    If: Callable[[Any], bool] | None = None,
    **kwargs: Any,
) -> None:
    """Leaves out what does not take part and draws fits that are in the frames.

    Args:
      tray: to which modules are added.
      name: begin of the keys of helpers, `<name>CombinedExclusions`...
      pulse_key: of the pulses.
      dom_and_tw_exclusions: keys of modules and time windows that take no part; those that a frame lacks exclude nothing.
      partial_exclusion: whether modules with time windows take part outside of these; False: they take no part.
      exclude_bright_doms: whether modules with too much charge take no part.
      bright_doms_threshold_fraction: share of the event's charge above which a module has too much.
      bright_doms_threshold_charge: PE, which a module with too much charge exceeds as well.
      merge_pulses_time_threshold: ns, pulses closer than this become one; None: pulses stay as they are.
      clean_up: whether helpers are deleted behind the figures.
      If: function of a frame that tells whether its fit is drawn; None: all are.
      **kwargs: parameters of the module EventGeneratorVisualizeBestFit: reco_key, model_names and output_dir at least.

    Raises:
      EvgenError: an unknown parameter, or one that cannot be.
    """
    check_names(kwargs, tuple(OF_FIGURES), "ApplyEventGeneratorVisualizeBestFit")
    bright = (bright_doms_threshold_fraction, bright_doms_threshold_charge) if exclude_bright_doms else None
    keys = _add_exclusions(
        tray, name, pulse_key, dom_and_tw_exclusions, partial_exclusion, bright, merge_pulses_time_threshold, If
    )
    tray.AddModule(EventGeneratorVisualizeBestFit, f"{name}_visualize", **keys, **kwargs)
    if clean_up:
        _add_clean_up(tray, name)

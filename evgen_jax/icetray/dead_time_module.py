"""The tray module that marks the time in which modules were not awake."""

from typing import Any

from icecube import icetray

from evgen_jax.icetray import reading, writing
from evgen_jax.icetray.exclusions import dead_time_windows, union_of_windows


class FlagSLCDeadTimeWindows(icetray.I3ConditionalModule):  # type: ignore[misc]
    """Writes time windows after isolated readouts, in which a module records nothing: an exclusion for fits.

    Parameters: PulseKey (InIceDSTPulses), RunOnPFrames (False: on Q frames), OutputKey (SLCDeadTimeWindows): an
    I3TimeWindowSeriesMap, ns, of frames that have pulses.

    Args:
      context: of the tray.
    """

    def __init__(self, context: Any):
        icetray.I3ConditionalModule.__init__(self, context)
        self.AddParameter("PulseKey", "Pulses.", "InIceDSTPulses")
        self.AddParameter("RunOnPFrames", "Whether P frames are marked, instead of Q frames.", False)
        self.AddParameter("OutputKey", "Key of the windows.", "SLCDeadTimeWindows")
        self.AddOutBox("OutBox")

    def Configure(self) -> None:
        """Reads the parameters."""
        self._pulses, self._output = self.GetParameter("PulseKey"), self.GetParameter("OutputKey")
        self._on_physics = bool(self.GetParameter("RunOnPFrames"))

    def DAQ(self, frame: Any) -> None:
        """Marks a Q frame.

        Args:
          frame: of IceTray.
        """
        if not self._on_physics:
            self._mark(frame)
        self.PushFrame(frame)

    def Physics(self, frame: Any) -> None:
        """Marks a P frame.

        Args:
          frame: of IceTray.
        """
        if self._on_physics:
            self._mark(frame)
        self.PushFrame(frame)

    def _mark(self, frame: Any) -> None:
        if frame.Has(self._pulses):
            windows = union_of_windows([dead_time_windows(reading.read_pulses(frame, self._pulses, flags=True))])
            writing.put(frame, self._output, writing.to_windows(windows))

"""Switches of learned sources: what the network is told, and what it need not learn."""

from dataclasses import dataclass

from evgen_jax.physics.acceptance import BASELINE


@dataclass(frozen=True)
class LearnedOptions:
    """Holds the switches of a learned source; the names are the configuration keys.

    Attributes:
      inputs: names of inputs and of sets of them, see `inputs.INPUTS` and `inputs.SETS`.
      anisotropy_azimuth: azimuth of the axis of an anisotropy, rad, for the input `anisotropy`; None: none.
      num_embedding_vars: number of inputs of every DOM that are trained and start at 0.
      add_anisotropy_angle: whether the horizontal direction of the light is an input.
      add_dom_angular_acceptance: whether the angular acceptance is an input.
      add_axis_cosine: whether the cosine between the axis of the sensor and the incoming light is an input.
      add_dom_coordinates: whether the position of the DOM is an input.
      add_log_distance: whether ln(distance / 100 m) is an input, which resolves DOMs close by.
      num_local_vars: number of trainable inputs per DOM.
      scale_charge: whether the expected charge is proportional to energy / 1 TeV.
      scale_charge_by_relative_dom_efficiency: whether the module's efficiency, times its area relative to that of
        IceCube's module, is a factor of the expected charge.
      scale_charge_by_global_dom_efficiency: whether the parameter DOMEfficiency is a factor of the expected charge.
      scale_charge_by_angular_acceptance: whether the angular acceptance is a factor of the expected charge.
      scale_charge_by_relative_angular_acceptance: whether the angular acceptance relative to that of the baseline is a
        factor of the expected charge.
      scale_charge_by_diffusion: whether the light of 1 TeV in a homogeneous medium, with the mean lengths of the
        detector's, is a factor of the expected charge, so that the network learns only what differs from it, which
        takes far fewer steps.
      scale_charge_by_light: whether the light of 1 TeV from tables of photon transport, in a homogeneous medium with the
        mean lengths of the detector's and at sensors with their axes and angular curves, is a factor of the expected
        charge.
      light_along_way: whether that light, or that of diffusion, has the lengths averaged along the straight way to each
        DOM instead of the mean lengths of the medium.
      start_times_from_light: whether the first three gamma distributions of the arrival times start from those of that
        light: the network learns what differs from them.
      use_constant_baseline_hole_ice: whether the hole ice is that of the baseline; otherwise it is that of the
        parameters HoleIceForward_Unified_p0 and _p1 of the hypothesis. Kinds of sensors that are not in hole ice have
        their own acceptance.
      baseline_hole_ice_p0: first parameter of the hole ice of the baseline.
      baseline_hole_ice_p1: second parameter of the hole ice of the baseline.
      angular_acceptance: 'formula', or 'table' for weights that were trained by Event-Generator with its table.
      density_per_microsecond: whether time densities are per microsecond beside those of noise per ns, as Event-Generator
        adds them, for comparison with its log-likelihoods.
      mixture_component_t_seeds: offset of each time component, ns; None: 0.
      charge_scale_tensors: charge parameters that get the scale factors; None: all expected charges.
      additional_parameter_names: hypothesis parameters after those of the geometry, as further inputs.
    """

    inputs: tuple[str, ...] = ("event_generator",)
    anisotropy_azimuth: float | None = None
    num_embedding_vars: int = 0
    add_anisotropy_angle: bool = True
    add_dom_angular_acceptance: bool = False
    add_axis_cosine: bool = False
    add_dom_coordinates: bool = False
    add_log_distance: bool = False
    num_local_vars: int = 0
    scale_charge: bool = True
    scale_charge_by_relative_dom_efficiency: bool = True
    scale_charge_by_global_dom_efficiency: bool = False
    scale_charge_by_angular_acceptance: bool = False
    scale_charge_by_relative_angular_acceptance: bool = False
    scale_charge_by_diffusion: bool = False
    scale_charge_by_light: bool = False
    light_along_way: bool = False
    start_times_from_light: bool = False
    use_constant_baseline_hole_ice: bool = True
    baseline_hole_ice_p0: float = BASELINE[0]
    baseline_hole_ice_p1: float = BASELINE[1]
    angular_acceptance: str = "formula"
    density_per_microsecond: bool = False
    mixture_component_t_seeds: tuple[float, ...] | None = None
    charge_scale_tensors: tuple[str, ...] | None = None
    additional_parameter_names: tuple[str, ...] = ()

    @property
    def needs_acceptance(self) -> bool:
        """Returns whether an option needs the angular acceptance of the modules."""
        return (
            self.add_dom_angular_acceptance
            or self.scale_charge_by_angular_acceptance
            or self.scale_charge_by_relative_angular_acceptance
        )

    @property
    def needs_light(self) -> bool:
        """Returns whether an option needs light from tables of photon transport."""
        return self.scale_charge_by_light or self.start_times_from_light

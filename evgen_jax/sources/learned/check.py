"""Whether the parts of a learned source fit together."""

from evgen_jax.errors import ConfigError
from evgen_jax.physics.acceptance import ACCEPTANCES
from evgen_jax.sources.learned.inputs import REFERENCE, check_inputs
from evgen_jax.sources.learned.learned import LearnedSource
from evgen_jax.sources.learned.light_start import check_light


def check_learned(source: LearnedSource) -> None:
    """Checks that the parts of a source fit together.

    Args:
      source: a learned source.

    Raises:
      ConfigError: number of outputs, decoders, offsets, options, parameters or transformation contradict each other.
    """
    options, widths = source.options, source.network.widths
    num_charge, num_time = len(source.charge_decoder.parameter_names), len(source.time_decoder.parameter_names)
    if source.time_network is not None:
        of_times = source.time_network.widths[-1]
        if widths[-1] != num_charge or of_times != num_time:
            raise ConfigError(
                f"num_filters_list ends with {widths[-1]} outputs and time_filters_list with {of_times}, but the decoders "
                f"need {num_charge} (charge) and {num_time} (time). Change the last entries or the decoders."
            )
    elif widths[-1] != num_charge + num_time:
        raise ConfigError(
            f"num_filters_list ends with {widths[-1]} outputs, but the decoders need {num_charge} (charge) + "
            f"{num_time} (time) = {num_charge + num_time}. Change the last entry or the decoders."
        )
    if not source.charge_decoder.is_charge or source.time_decoder.is_charge:
        raise ConfigError("decoder_charge_settings must name a charge distribution, decoder_settings one of times.")
    seeds, num_components = options.mixture_component_t_seeds, source.time_decoder.num_components
    if seeds is not None and len(seeds) != num_components:
        raise ConfigError(
            f"mixture_component_t_seeds has {len(seeds)} entries, the time decoder {num_components} components."
        )
    for name in options.charge_scale_tensors or ():
        if name not in source.charge_decoder.loc_parameters:
            raise ConfigError(
                f"charge_scale_tensors: '{name}' is not one of the expected charges "
                f"{', '.join(source.charge_decoder.loc_parameters)} of the charge decoder."
            )
    is_track = not source.geometry.has_light
    check_inputs(options.inputs, is_track, options.anisotropy_azimuth)
    if REFERENCE not in options.inputs:
        for key in ("add_dom_angular_acceptance", "add_axis_cosine", "add_dom_coordinates", "add_log_distance"):
            if getattr(options, key):
                raise ConfigError(
                    f"{key}: chooses an input of '{REFERENCE}', which inputs does not name. Remove one of them."
                )
    if options.light_along_way and not (options.needs_light or options.scale_charge_by_diffusion):
        raise ConfigError(
            "light_along_way: has no effect without scale_charge_by_light, start_times_from_light or "
            "scale_charge_by_diffusion. Add one of them, or remove it."
        )
    if options.needs_light:
        check_light(options, source.geometry.has_light, source.time_decoder)
    if options.angular_acceptance not in ACCEPTANCES:
        raise ConfigError(
            f"angular_acceptance: expected {' or '.join(repr(k) for k in ACCEPTANCES)}, got {options.angular_acceptance!r}."
        )
    if options.scale_charge_by_angular_acceptance and options.scale_charge_by_relative_angular_acceptance:
        raise ConfigError(
            "scale_charge_by_angular_acceptance and scale_charge_by_relative_angular_acceptance exclude each other."
        )
    needed = ["DOMEfficiency"] * options.scale_charge_by_global_dom_efficiency
    needed += ["HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1"] * (not options.use_constant_baseline_hole_ice)
    for name in needed:
        if name not in source.parameter_names:
            raise ConfigError(f"the options need the parameter '{name}', which is not in snowstorm_parameter_names.")
    if source.trafo.parameter_names != source.parameter_names:
        raise ConfigError(
            f"the data transformation has the parameters {', '.join(source.trafo.parameter_names)}, "
            f"the source {', '.join(source.parameter_names)}."
        )

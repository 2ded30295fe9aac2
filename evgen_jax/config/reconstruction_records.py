"""The record of fits."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from evgen_jax.config.record import (
    TOLD,
    WHEN_FITTED,
    Count,
    Key,
    Number,
    Positive,
    Precision,
    Record,
    Size,
    Strings,
    described,
    only,
)
from evgen_jax.config.scipy_settings import checked_scipy_settings
from evgen_jax.errors import suggestion


def _is_scipy(settings: "ReconstructionSettings") -> bool:
    return settings.reco_optimizer_interface == "scipy"


def _batched_alone(settings: "ReconstructionSettings") -> str:
    text = "has no effect on SciPy's minimisers; write it into scipy_optimizer_settings.options"
    return text if _is_scipy(settings) else ""


BATCHED = Key(wrong=_batched_alone)


INTERFACES = ("batched", "scipy", "tfp", "shog", "spherical_opt")
"""Values of reco_optimizer_interface; for the last three, of Event-Generator, 'batched' stands in, which is told."""


def _known_interface(name: str) -> str:
    if name.lower() not in INTERFACES:
        raise ValueError(f": got {name!r}; expected one of {', '.join(INTERFACES)}." + suggestion(name, INTERFACES))
    return name.lower()


def _one_or_several(tables: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """A list of one table is that table."""
    if isinstance(tables, str):
        return tables
    if not tables:
        raise ValueError(": expected the name of a table, or several, got an empty list; 'pulses' means no seeds.")
    return tables[0] if len(tables) == 1 else tables


class ReconstructionSettings(Record):
    """How events are fitted: 'batched' (many at once, to `gradient_tolerance`) or 'scipy' (one after the other).

    `parameter_boundaries` are physical units. `num_random_seeds` smeared copies of every seed are fitted as well, with the
    widths `seed_spreads`. `refit_directions` fits every event again from the best directions over the sky, as fits without
    seeds do: several times the evaluations, and the deepest minimum more often; where it is not given, so are hypotheses
    of one direction in media such as sea water, whose light has many minima in direction. `priors` are those of posterior samples, and
    the only ones there; fits hold the priors of the loss, if there are any. Switches for what this version does not compute
    give a warning when True.
    """

    reco_output_file: Annotated[StrictStr | None, TOLD] = described(None, "Without effect: -o names the output.")
    seed: Annotated[StrictStr | Strings, AfterValidator(_one_or_several)] = described(
        "x_parameters", "Table of seeds, or several; 'x_parameters': the labels; 'pulses': no seeds at all."
    )
    seed_parameter_names: tuple[StrictStr | tuple[StrictStr, StrictInt], ...] | None = described(
        None,
        "Columns of seeds by parameter; empty: those of data_handler_settings.misc_settings, or the names of parameters.",
    )
    seed_missing_value: Number | None = described(None, "Value of a seed's column that is not there.")
    seed_missing_value_dict: dict[StrictStr, Number] = described({}, "Value by column, in place of seed_missing_value.")
    seed_float_precision: Annotated[Precision, TOLD] = described("float32", "Without effect: seeds are float64.")
    reco_optimizer_interface: Annotated[StrictStr, AfterValidator(_known_interface)] = described(
        "batched",
        "'batched': many events at once; 'scipy': one by one; Event-Generator's 'tfp', 'shog' and 'spherical_opt': as 'batched'.",
    )
    gradient_tolerance: Annotated[float, Field(gt=0), BATCHED] = described(
        1e-2, "Norm of the gradient in normalised parameters at which a fit ends."
    )
    max_iterations: Annotated[Count, BATCHED] = described(200, "Iterations of a fit at most.")
    parameter_boundaries: dict[StrictStr, tuple[Number, Number]] | None = described(
        None, "[low, high] by parameter, in its unit (m, rad, GeV, ns)."
    )
    num_random_seeds: Size | None = described(None, "Smeared copies of every seed that are fitted as well.")
    seed_spreads: Annotated[dict[StrictStr, Number], Key(idle=lambda s: not s.num_random_seeds)] = described(
        {}, "Widths of smeared seeds by parameter, in its unit."
    )
    refit_directions: Annotated[StrictBool | None, Key(idle=lambda s: s.seed == "pulses")] = described(
        None,
        "Whether every event is fitted again from the best directions over the sky; empty: in media that scatter little.",
    )
    sphere_radius: Annotated[Positive | None, Key(idle=lambda s: s.seed != "pulses")] = described(
        None, "Radius of the sphere that a track enters, for seed: pulses; empty: that of the model's sources.", "m"
    )
    random_seed: StrictInt = described(42, "Seed of all that is drawn.")
    column_names: Literal["evgen_jax", "reference"] = described(
        "evgen_jax", "Names of the output's columns; 'reference': those of Event-Generator."
    )
    priors: dict[StrictStr, dict[StrictStr, StrictStr | Number]] = described(
        {}, "Priors of posterior samples by parameter."
    )
    scipy_optimizer_settings: Annotated[
        dict[StrictStr, Any], AfterValidator(checked_scipy_settings), Key(idle=lambda s: not _is_scipy(s))
    ] = described({"method": "BFGS"}, "Arguments of scipy.optimize.minimize: method, options, tol.")
    tf_optimizer_settings: Annotated[dict[StrictStr, Any], TOLD] = described({}, "Of TensorFlow; without effect.")
    minimize_in_trafo_space: StrictBool = described(True, "Whether fits run in normalised parameters.")
    minimize_parameter_default_value: StrictBool = described(True, "Whether parameters are free.")
    minimize_parameter_dict: dict[StrictStr, StrictBool] = described({}, "Whether a parameter is free, by its name.")
    parameter_tensor_name: Annotated[StrictStr, only("x_parameters")] = described(
        "x_parameters", "Event-Generator's name of the hypothesis: only this one."
    )
    calculate_covariance_matrix: StrictBool = described(True, "Whether covariances are computed.")
    calculate_goodness_of_fit: StrictBool = described(False, "Whether fits are ranked among simulated ones.")
    estimate_angular_uncertainty: StrictBool = described(False, "Whether the width of the direction is scanned.")
    run_mcmc: Annotated[StrictBool, WHEN_FITTED] = described(False, "Of Event-Generator; see `posterior`.")
    make_1d_llh_scans: Annotated[StrictBool, WHEN_FITTED] = described(False, "Of Event-Generator; see `show`.")
    modified_label_module: Annotated[Any, WHEN_FITTED] = described(
        None, "Of Event-Generator; labels are read as usual."
    )
    modified_data_module: Annotated[Any, WHEN_FITTED] = described(None, "Of Event-Generator; pulses are read as usual.")

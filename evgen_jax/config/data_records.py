"""Records of data: which files, which of their tables, which labels."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from evgen_jax.config.record import (
    EMPTY,
    ONLY_32,
    TOLD,
    Count,
    Idle,
    Key,
    Number,
    Only32,
    Only64,
    Record,
    Size,
    Strings,
    described,
    needed,
    only,
    short,
)

QUEUE = "A queue of Event-Generator; without effect."


def _empty_is_false(flags: Any) -> Any:
    """Where nothing is given there is no logarithm, for all parameters or for one."""
    return [bool(f) if f is None else f for f in flags] if isinstance(flags, list) else flags or False


LogFlags = Annotated[StrictBool | tuple[StrictBool, ...], BeforeValidator(_empty_is_false)]


def _given(record: BaseModel, *keys: str) -> list[str]:
    """Keys that were given a value that is not empty."""
    return [k for k in keys if k in record.model_fields_set and getattr(record, k) not in EMPTY]


class IteratorSettings(Record):
    """One data iterator.

    The validation takes input_data, batch_size and strict; its events are the same each time, in no particular order.
    """

    input_data: StrictStr | Strings = needed("Files, or patterns such as 'DIR/*.hdf5'.")
    batch_size: Count = described(32, "Events of a batch.")
    sample_randomly: StrictBool = described(True, "Whether files and events come in random order.")
    pick_random_files_forever: StrictBool = described(True, "Whether the files are read again and again; False: once.")
    num_jobs: Size = described(1, "Processes that read ahead; 0: the program reads by itself.")
    num_add_files: Size = described(0, "Files of a pool beside its first; the events of a pool are mixed.")
    num_repetitions: Count = described(1, "How often the events of a pool of files are used before the next pool.")
    file_capacity: Idle = described(None, QUEUE)
    batch_capacity: Idle = described(None, QUEUE)
    dataset_capacity: Idle = described(None, QUEUE)
    num_splits: Idle = described(None, "Parts in which Event-Generator reads a file; without effect.")
    verbose: Idle = described(None, "Without effect.")
    biased_selection_module: Annotated[None, only("None")] = described(None, "A choice of events, which is not there.")
    strict: StrictBool = described(False, "Whether an event that cannot be used is an error, not counted and left out.")


class DataIteratorSettings(Record):
    """Data of each purpose."""

    training: IteratorSettings = needed("Events of the training.")
    trafo: IteratorSettings | None = described(
        None, "Events whose labels are normalised; empty: those of the training."
    )
    validation: IteratorSettings | None = described(None, "Events of the validation; empty: there is none.")
    test: IteratorSettings | None = described(None, "Events that are fitted after the training.")


class PulseSettings(Record):
    """Tables of what was measured."""

    pulse_key: StrictStr | None = described(
        None, "Table of pulses; empty: the only one, or that which the format names."
    )
    event_id_key: StrictStr | None = described(
        None, "Table with one row per event, whose ids join all others; empty: that which the format names, or has."
    )
    dom_exclusions_key: StrictStr | None = described(None, "Table of modules that take no part in an event.")
    time_exclusions_key: StrictStr | None = described(None, "Table of time windows that take no part.")
    float_precision: Only32 = described("float32", ONLY_32)
    add_charge_quantiles: Annotated[StrictBool, TOLD] = described(
        False, "Without effect: quantiles of the charge are always there."
    )
    discard_pulses_from_excluded_doms: StrictBool = described(False, "Whether pulses of excluded modules are left out.")
    time_window_buffer: Annotated[float, Field(ge=0)] = described(
        100.0,
        "How far the readout reaches before the first and behind the last pulse, if there is no table of it.",
        "ns",
    )
    readout_window_key: StrictStr | None = described(None, "Table of readout windows.")


class LabelSettings(Record):
    """Labels: the true hypotheses of simulated events."""

    label_key: StrictStr = described("LabelsDeepLearning", "Table of labels.")
    parameter_names: Strings | None = described(None, "Columns, for GeneralLabelModule.")
    additional_labels: Strings | None = described(None, "Further columns of the table.")
    num_cascades: Count | None = described(None, "Energy losses of a track with equidistant cascades.")
    trafo_log: LogFlags = described(
        False, "Which parameters are normalised as ln(1 + p), one flag each or one for all."
    )
    snowstorm_key: StrictStr | None = described(
        "SnowstormParameterDict", "Table of properties of the ice; empty: all of them are 1."
    )
    snowstorm_parameters: Strings = described((), "Columns of that table, which are the last parameters.")
    float_precision: Only32 = described("float32", ONLY_32)


class MiscSettings(Record):
    """Seeds that are read beside the events."""

    seed_names: Annotated[Strings, TOLD] = described(
        (), "Without effect: reconstruction_settings.seed names the table."
    )
    seed_parameter_names: tuple[StrictStr | tuple[StrictStr, StrictInt], ...] = described(
        (), "Columns of seeds by parameter; [name, number] stands for several."
    )
    float_precision: Only32 = described("float32", ONLY_32)
    missing_value: Number | None = described(None, "Value of a seed's column that is not there.")
    missing_value_dict: dict[StrictStr, Number] = described({}, "Value by column, in place of missing_value.")


class FilterSettings(Record):
    """Which events are used."""

    constraints: tuple[tuple[StrictStr, StrictStr | StrictInt, StrictStr, Number], ...] = described(
        (), "[table, column, comparison, value] that events fulfil."
    )


class FormatSettings(Record):
    """What files of other programs do not say; the tables of IceCube need none of it."""

    charge: Literal["file", "time_over_threshold", "one"] | None = described(
        None,
        "Charges of pulses: those of the file, computed from the time over threshold of KM3NeT, or 1 PE each; empty: the "
        "first of these that the file has.",
    )
    vertex_time: Number | None = described(
        None, "Time of all vertices, where the truth has none; empty: 0 in Prometheus, and none elsewhere.", "ns"
    )
    events: tuple[Size, Size] | None = described(
        None,
        "Part of a large database, or folder of Parquet, that is read: the first event_no and the one behind the last; "
        "empty: all.",
    )
    calibration: StrictStr | None = described(
        None,
        "Detector file of KM3NeT (.detx) that calibrates the times of raw hits and says which sensor a pmt_id is; empty: "
        "hits are calibrated.",
    )
    efficiency: Annotated[float, Field(gt=0, le=1)] = described(
        1.0, "Probability with which a photon of Prometheus becomes a pulse."
    )
    jitter: Annotated[float, Field(ge=0)] = described(
        0.0, "Standard deviation that is added to the times of Prometheus' photons.", "ns"
    )
    threshold: Count = described(1, "Fewest photons of a sensor in an event of Prometheus that are pulses.")
    seed: Size = described(
        0, "Seed of efficiency and jitter; the random numbers of an event follow from it and its ids."
    )


def _without_module(module: str, settings: str) -> Callable[["DataHandlerSettings"], str]:
    """Settings beside the module that does nothing contradict it."""

    def wrong(handler: "DataHandlerSettings") -> str:
        own = getattr(handler, settings)
        dummy = module in handler.model_fields_set and short(getattr(handler, module)).startswith("Dummy")
        filled = _given(own, *(k for k in type(own).model_fields if k != "float_precision"))
        return f"{module} is {short(getattr(handler, module))}, which takes no {filled[0]}" if dummy and filled else ""

    return wrong


def _labels_fit(handler: "DataHandlerSettings") -> str:
    """Settings of labels that the module does not read."""
    module = short(handler.label_module)
    takes = {
        "parameter_names": ("GeneralLabelModule",),
        "num_cascades": ("SnowstormTrackEquidistantCascadesLabelModule",),
        "additional_labels": ("SnowstormCascadeGeneratorLabelModule", "SnowstormTrackEquidistantCascadesLabelModule"),
    }
    for key in _given(handler.label_settings, *takes):
        if module not in takes[key]:
            return f"{key} belongs to {' and '.join(takes[key])}; {module} does not read it. Remove it or change label_module"
    return ""


class DataHandlerSettings(Record):
    """How files are read."""

    data_handler: Annotated[StrictStr, only("ModuleDataHandler")] = described(
        "modular.ModuleDataHandler", "Event-Generator's reader: only this one."
    )
    data_module: Annotated[StrictStr, only("PulseDataModule")] = described(
        "pulse_data.PulseDataModule", "What is measured: pulses."
    )
    data_settings: PulseSettings = needed("Tables of what was measured.")
    format_settings: FormatSettings = described(FormatSettings(), "What files of other programs do not say.")
    label_module: StrictStr = described(
        "snowstorm.SnowstormCascadeGeneratorLabelModule", "Which columns the labels are, and their order."
    )
    label_settings: Annotated[LabelSettings, Key(wrong=_labels_fit)] = described(LabelSettings(), "Labels.")
    weight_module: Annotated[StrictStr, only("DummyWeightModule")] = described(
        "dummy.DummyWeightModule", "Weights of events, which are not there."
    )
    weight_settings: Annotated[
        dict[StrictStr, Any],
        Key(False, wrong=lambda handler: "events are not weighted; DummyWeightModule takes no settings"),
    ] = described({}, "Settings of weights: there are none.")
    misc_module: Annotated[StrictStr, only("DummyMiscModule", "SeedLoaderMiscModule")] = described(
        "dummy.DummyMiscModule", "Whether seeds are read with the events."
    )
    misc_settings: Annotated[MiscSettings, Key(wrong=_without_module("misc_module", "misc_settings"))] = described(
        MiscSettings(), "Seeds that are read beside the events."
    )
    filter_module: Annotated[StrictStr, only("DummyFilterModule", "GeneralFilterModule")] = described(
        "dummy.DummyFilterModule", "Whether events are chosen."
    )
    filter_settings: Annotated[FilterSettings, Key(wrong=_without_module("filter_module", "filter_settings"))] = (
        described(FilterSettings(), "Which events are used.")
    )


class TrafoSettings(Record):
    """The normalisation of the hypothesis parameters."""

    model_dir: StrictStr = needed("Directory of the normalisation.")
    num_batches: Count = described(5000, "Batches of the trafo iterator that it is made from.")
    norm_constant: Annotated[float, Field(gt=0)] = described(1e-6, "Added to the spread of a parameter.")
    float_precision: Only64 = described("float64", "Precision; float64 is what there is here.")

"""Typed, frozen, strict records of a configuration. Field names are the YAML keys."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from evgen_jax.config.scipy_settings import checked_scipy_settings
from evgen_jax.errors import suggestion

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Precision = Literal["float32", "float64"]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Strings = tuple[StrictStr, ...]
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Size = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


def _empty_is_false(flags: Any) -> Any:
    """Where nothing is given there is no logarithm, for all parameters or for one."""
    return [bool(f) if f is None else f for f in flags] if isinstance(flags, list) else flags or False


LogFlags = Annotated[StrictBool | tuple[StrictBool, ...], BeforeValidator(_empty_is_false)]


class Record(BaseModel):
    """Base of all records: unknown keys are refused, nothing can be changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ClassSettings(Record):
    """A class of the reference program with its settings, as its files write schedules."""

    full_class_string: StrictStr
    settings: dict[StrictStr, Any] = {}


class OptimizerSettings(Record):
    """Arguments of the optimiser as Keras names them; None takes the optimiser's own default.

    Of gradients, that of the mean loss of a batch, at most one of `clipnorm` (norm of each array), `clipvalue` (each entry)
    and `global_clipnorm` (norm of all together) is limited. Averages of weights and accumulated gradients are not there:
    their switches may only be off.
    """

    learning_rate: Number | ClassSettings = 1e-3
    beta_1: Number | None = None
    beta_2: Number | None = None
    epsilon: Number | None = None
    weight_decay: Number | None = None
    momentum: Number | None = None
    nesterov: StrictBool | None = None
    amsgrad: StrictBool | None = None
    rho: Number | None = None
    centered: StrictBool | None = None
    initial_accumulator_value: Number | None = None
    clipnorm: Positive | None = None
    clipvalue: Positive | None = None
    global_clipnorm: Positive | None = None
    use_ema: Literal[False] | None = None
    ema_momentum: Number | None = None
    ema_overwrite_frequency: Count | None = None
    gradient_accumulation_steps: None = None
    loss_scale_factor: None = None
    jit_compile: StrictBool | Literal["auto"] | None = None
    name: StrictStr | None = None


class LossArguments(Record):
    normalize_by_total_charge: StrictBool = False


METRIC_WRITERS = ("json_lines", "tensorboard", "wandb", "mlflow")


def _known_writers(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in METRIC_WRITERS:
            raise ValueError(
                f": got '{name}'; here it can only be {' or '.join(METRIC_WRITERS)}.{suggestion(name, METRIC_WRITERS)}"
            )
    return names


class TrainingSettings(Record):
    """How long and with what is trained.

    Every `validation_frequency` steps the loss of the same validation events is taken: all of them, or a fixed random part of
    `validation_events`. An event costs there about a third of what it costs in a training step. `evaluation_frequency`
    counts only with an evaluation module. The numbers of training steps stay on the device and are fetched every `log_every`
    steps, which are written then, one line per step; 1 waits for every step. `metric_writers` says where they are written.
    """

    optimizer_name: StrictStr = "Adam"
    optimizer_settings: OptimizerSettings = OptimizerSettings()
    num_training_iterations: Size
    validation_frequency: Count = 100
    validation_events: Count = 1000
    evaluation_frequency: Count = 100
    save_frequency: Count = 500
    log_every: Count = 50
    metric_writers: Annotated[Strings, AfterValidator(_known_writers)] = ("json_lines", "tensorboard")
    clip_gradients_value: Annotated[float, Field(gt=0)] | None = None
    remove_nan_gradients: StrictBool = False
    l1_regularization: Number = 0.0
    l2_regularization: Number = 0.0
    additional_loss_module_kwargs: LossArguments = LossArguments()
    num_devices: Count | None = None
    events_per_step: Count | None = None
    random_seed: StrictInt = 1337
    frozen_parts: Strings = ()


class IteratorSettings(Record):
    """One data iterator. Queue capacities of the reference program have no effect (see `keys`).

    The validation takes input_data, batch_size and strict; its events are the same each time, in no particular order.
    """

    input_data: StrictStr | Strings
    batch_size: Count = 32
    sample_randomly: StrictBool = True
    pick_random_files_forever: StrictBool = True
    num_jobs: Size = 1
    num_add_files: Size = 0
    num_repetitions: Count = 1
    file_capacity: Any = None
    batch_capacity: Any = None
    dataset_capacity: Any = None
    num_splits: Any = None
    verbose: Any = None
    biased_selection_module: None = None
    strict: StrictBool = False


class DataIteratorSettings(Record):
    training: IteratorSettings
    trafo: IteratorSettings | None = None
    validation: IteratorSettings | None = None
    test: IteratorSettings | None = None


class PulseSettings(Record):
    pulse_key: StrictStr
    event_id_key: StrictStr
    dom_exclusions_key: StrictStr | None = None
    time_exclusions_key: StrictStr | None = None
    float_precision: Precision = "float32"
    add_charge_quantiles: StrictBool = False
    discard_pulses_from_excluded_doms: StrictBool = False
    time_window_buffer: Annotated[float, Field(ge=0)] = 100.0
    readout_window_key: StrictStr | None = None


class LabelSettings(Record):
    label_key: StrictStr = "LabelsDeepLearning"
    parameter_names: Strings | None = None
    additional_labels: Strings | None = None
    num_cascades: Count | None = None
    trafo_log: LogFlags = False
    snowstorm_key: StrictStr | None = "SnowstormParameterDict"
    snowstorm_parameters: Strings = ()
    float_precision: Precision = "float32"


class MiscSettings(Record):
    seed_names: Strings = ()
    seed_parameter_names: tuple[StrictStr | tuple[StrictStr, StrictInt], ...] = ()
    float_precision: Precision = "float32"
    missing_value: Number | None = None
    missing_value_dict: dict[StrictStr, Number] = {}


class FilterSettings(Record):
    constraints: tuple[tuple[StrictStr, StrictStr | StrictInt, StrictStr, Number], ...] = ()


class DataHandlerSettings(Record):
    data_handler: StrictStr = "modular.ModuleDataHandler"
    data_module: StrictStr = "pulse_data.PulseDataModule"
    data_settings: PulseSettings
    label_module: StrictStr = "snowstorm.SnowstormCascadeGeneratorLabelModule"
    label_settings: LabelSettings = LabelSettings()
    weight_module: StrictStr = "dummy.DummyWeightModule"
    weight_settings: dict[StrictStr, Any] = {}
    misc_module: StrictStr = "dummy.DummyMiscModule"
    misc_settings: MiscSettings = MiscSettings()
    filter_module: StrictStr = "dummy.DummyFilterModule"
    filter_settings: FilterSettings = FilterSettings()


class TrafoSettings(Record):
    model_dir: StrictStr
    num_batches: Count = 5000
    norm_constant: Annotated[float, Field(gt=0)] = 1e-6
    float_precision: Precision = "float64"


class DecoderSettings(Record):
    decoder_class: StrictStr | None = None
    config: dict[StrictStr, Any] = {}
    base_decoders: dict[StrictStr, "DecoderSettings"] = {}
    load_dir: StrictStr | None = None


class ModelSettings(Record):
    model_class: StrictStr | None = None
    config: dict[StrictStr, Any] = {}
    multi_source_bases: dict[StrictStr, "ModelSettings"] = {}
    decoder_settings: DecoderSettings | None = None
    decoder_charge_settings: DecoderSettings | None = None
    data_trafo_settings: dict[StrictStr, Any] | None = None
    load_dir: StrictStr | None = None


class LossConfig(Record):
    loss_function_name: StrictStr
    float_precision: Precision = "float32"
    add_normalization_term: StrictBool = True
    mpe_quantile: Number | None = None
    min_charge_quantile: Number | None = None
    max_charge_quantile: Number | None = None


class PriorConfig(Record):
    """Of a SnowstormPriorLossModule; None: the usual priors of the parameters that the model has."""

    float_precision: Precision = "float32"
    sigmas: tuple[Number, ...] | None = None
    uniform_parameters: dict[StrictStr, tuple[Number, ...]] | None = None


class LossSettings(Record):
    """Its config is a `LossConfig` or a `PriorConfig`, whichever the loss module takes."""

    loss_module: StrictStr = "DefaultLossModule"
    loss_module_weight: Number = 1.0
    config: dict[StrictStr, Any]


class ManagerConfig(Record):
    manager_dir: StrictStr
    I3ParticleMapping: dict[StrictStr, StrictStr | None] | None = None


class ManagerSettings(Record):
    model_manager_class: StrictStr = "SourceManager"
    config: ManagerConfig
    restore_model: StrictBool = True
    allow_rebuild_base_models: StrictBool = True
    allow_rebuild_base_decoders: StrictBool = True
    keep_checkpoints: Count = 3


class ReconstructionSettings(Record):
    """How events are fitted: 'batched' (many at once, to `gradient_tolerance`) or 'scipy' (one after the other).

    `parameter_boundaries` are physical units. `num_random_seeds` smeared copies of every seed are fitted as well, with the
    widths `seed_spreads`. `refit_directions` fits every event again from the best directions over the sky, as fits without
    seeds do: several times the evaluations, and the deepest minimum more often. `priors` are those of posterior samples, and
    the only ones there; fits hold the priors of the loss, if there are any. Switches for what this version does not compute
    give a warning when True.
    """

    reco_output_file: StrictStr | None = None
    seed: StrictStr | Strings = "x_parameters"
    seed_parameter_names: tuple[StrictStr | tuple[StrictStr, StrictInt], ...] | None = None
    seed_missing_value: Number | None = None
    seed_missing_value_dict: dict[StrictStr, Number] = {}
    seed_float_precision: Precision = "float32"
    reco_optimizer_interface: StrictStr = "batched"
    gradient_tolerance: Annotated[float, Field(gt=0)] = 1e-2
    max_iterations: Count = 200
    parameter_boundaries: dict[StrictStr, tuple[Number, Number]] | None = None
    num_random_seeds: Size | None = None
    seed_spreads: dict[StrictStr, Number] = {}
    refit_directions: StrictBool = False
    random_seed: StrictInt = 42
    column_names: Literal["evgen_jax", "reference"] = "evgen_jax"
    priors: dict[StrictStr, dict[StrictStr, StrictStr | Number]] = {}
    scipy_optimizer_settings: Annotated[dict[StrictStr, Any], AfterValidator(checked_scipy_settings)] = {
        "method": "BFGS"
    }
    tf_optimizer_settings: dict[StrictStr, Any] = {}
    minimize_in_trafo_space: StrictBool = True
    minimize_parameter_default_value: StrictBool = True
    minimize_parameter_dict: dict[StrictStr, StrictBool] = {}
    parameter_tensor_name: StrictStr = "x_parameters"
    calculate_covariance_matrix: StrictBool = True
    calculate_goodness_of_fit: StrictBool = False
    estimate_angular_uncertainty: StrictBool = False
    run_mcmc: StrictBool = False
    make_1d_llh_scans: StrictBool = False
    modified_label_module: Any = None
    modified_data_module: Any = None


class EvaluationSettings(Record):
    """`LossTerms` writes every loss term of the validation by itself; None evaluates nothing."""

    evaluation_module: Literal["LossTerms"] | None = None
    config: dict[StrictStr, Any] = {}


class SimulationSettings(Record):
    """What `evgen-jax simulate` draws; ranges are [low, high] in physical units, energy log-uniform."""

    num_events: Count = 1000
    events_per_file: Count = 500
    random_seed: StrictInt = 1
    ranges: dict[StrictStr, tuple[Number, Number]] = {}
    readout_window: tuple[Number, Number] = (0.0, 20000.0)
    model: StrictStr | None = None
    single_photoelectron_charge: StrictBool = True


class ExperimentConfig(Record):
    """One experiment: the whole content of its YAML file."""

    unique_name: StrictStr
    training_settings: TrainingSettings
    model_manager_settings: ManagerSettings
    data_iterator_settings: DataIteratorSettings
    data_handler_settings: DataHandlerSettings
    data_trafo_settings: TrafoSettings
    loss_module_settings: LossSettings | tuple[LossSettings, ...]
    model_settings: ModelSettings
    evaluation_module_settings: EvaluationSettings = EvaluationSettings()
    reconstruction_settings: ReconstructionSettings = ReconstructionSettings()
    detector_settings: dict[Literal["geometry"], StrictStr] = {"geometry": "icecube86"}
    simulation_settings: SimulationSettings = SimulationSettings()

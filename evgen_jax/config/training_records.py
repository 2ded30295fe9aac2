"""Records of a training: optimiser, frequencies, what is kept."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from evgen_jax.config.record import (
    TOLD,
    Count,
    Key,
    Number,
    Positive,
    Record,
    Strings,
    described,
    needed,
    only,
)
from evgen_jax.errors import suggestion


class ClassSettings(Record):
    """A class of the reference program with its settings, as its files write schedules."""

    full_class_string: StrictStr = needed("Name of the class, dotted or not.")
    settings: dict[StrictStr, Any] = described({}, "Its settings.")


class OptimizerSettings(Record):
    """Arguments of the optimiser as Keras names them; None takes the optimiser's own default.

    Of gradients, that of the mean loss of a batch, at most one of `clipnorm` (norm of each array), `clipvalue` (each entry)
    and `global_clipnorm` (norm of all together) is limited. Averages of weights and accumulated gradients are not there:
    their switches may only be off.
    """

    learning_rate: Number | ClassSettings = described(1e-3, "Learning rate, or a schedule of it.")
    beta_1: Number | None = described(None, "Decay of the mean of gradients.")
    beta_2: Number | None = described(None, "Decay of the mean of squared gradients.")
    epsilon: Number | None = described(None, "Added to the root of the mean square.")
    weight_decay: Number | None = described(None, "Share of a weight, times the learning rate, that a step takes off.")
    momentum: Number | None = described(None, "Share of the last step that is kept.")
    nesterov: StrictBool | None = described(None, "Whether the momentum is Nesterov's.")
    amsgrad: StrictBool | None = described(None, "Whether Adam divides by the largest mean square so far.")
    rho: Number | None = described(None, "Decay of RMSprop's mean of squared gradients.")
    centered: StrictBool | None = described(None, "Whether RMSprop divides by the variance of gradients.")
    initial_accumulator_value: Number | None = described(None, "Adagrad's first sum of squares.")
    clipnorm: Positive | None = described(None, "Largest norm of the gradient of each array.")
    clipvalue: Positive | None = described(None, "Largest entry of the gradient.")
    global_clipnorm: Positive | None = described(None, "Largest norm of the whole gradient.")
    use_ema: Literal[False] | None = described(None, "Averages of weights, which are not there.")
    ema_momentum: Annotated[Number | None, TOLD] = described(None, "Of averages of weights; without effect.")
    ema_overwrite_frequency: Annotated[Count | None, TOLD] = described(None, "Of averages of weights; without effect.")
    gradient_accumulation_steps: None = described(None, "Accumulated gradients, which are not there.")
    loss_scale_factor: None = described(None, "A factor of the loss, which is not there.")
    jit_compile: Annotated[StrictBool | Literal["auto"] | None, TOLD] = described(
        None, "Without effect: everything is compiled."
    )
    name: Annotated[StrictStr | None, TOLD] = described(None, "Name of the optimiser in Keras; without effect.")


class LossArguments(Record):
    """Further arguments of the loss."""

    normalize_by_total_charge: StrictBool = described(False, "Whether the loss is that of the batch per photoelectron.")


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
    steps, which are written then, one line per step.
    """

    optimizer_name: StrictStr = described("Adam", "Any optimiser of optax, in any capitalisation.")
    optimizer_settings: OptimizerSettings = described(OptimizerSettings(), "Arguments of the optimiser.")
    num_training_iterations: Count = needed("Steps of the whole training.")
    validation_frequency: Count = described(100, "Steps between two validations.")
    validation_events: Count = described(1000, "Events of a validation.")
    evaluation_frequency: Count = described(100, "Steps between two evaluations.")
    save_frequency: Count = described(500, "Steps between two checkpoints.")
    log_every: Count = described(
        50, "Steps between two fetches of losses from the device, which are written then; 1 waits for every step."
    )
    metric_writers: Annotated[Strings, AfterValidator(_known_writers)] = described(
        ("json_lines", "tensorboard"), "Where losses are written: json_lines, tensorboard, wandb, mlflow."
    )
    clip_gradients_value: Annotated[float, Field(gt=0)] | None = described(None, "Largest norm of the whole gradient.")
    clip_gradients_by_history: Annotated[float, Field(gt=0)] | None = described(
        None,
        "Largest norm of the whole gradient in units of its usual norm, the geometric mean of those so far, the latest most; "
        "follows a loss of any scale.",
    )
    remove_nan_gradients: StrictBool = described(False, "Whether entries of the gradient that are NaN count as 0.")
    l1_regularization: Number = described(0.0, "Strength of the sum of absolute weights in the loss.")
    l2_regularization: Number = described(0.0, "Strength of the sum of squared weights in the loss.")
    additional_loss_module_kwargs: LossArguments = described(LossArguments(), "Further arguments of the loss.")
    num_devices: Count | None = described(None, "Devices that share a batch; empty: all.")
    events_per_step: Count | None = described(
        None, "Events whose network is evaluated together, to save memory; empty: one on a CPU, else all of a batch."
    )
    random_seed: StrictInt = described(1337, "Seed of weights and of the order of events.")
    frozen_parts: Strings = described((), "Parts of the model whose weights stay, as 'cascade' or 'track/cascade'.")


class EvaluationSettings(Record):
    """`LossTerms` writes every loss term of the validation by itself; None evaluates nothing."""

    evaluation_module: Literal["LossTerms"] | None = described(None, "What is evaluated; empty: nothing.")
    config: Annotated[dict[StrictStr, Any], Key(False, wrong=lambda record: "LossTerms takes no settings")] = described(
        {}, "Settings of the evaluation: there are none."
    )


class ManagerConfig(Record):
    """Where a training lies."""

    manager_dir: StrictStr = needed("Directory of the training: checkpoints, history, metrics.")
    I3ParticleMapping: Annotated[dict[StrictStr, StrictStr | None] | None, TOLD] = described(
        None, "Parameters that are properties of a particle; checked, without further effect."
    )


class ManagerSettings(Record):
    """How a training goes on."""

    model_manager_class: Annotated[StrictStr, only("SourceManager")] = described(
        "SourceManager", "Event-Generator's manager: only this one."
    )
    config: ManagerConfig = needed("Where the training lies.")
    restore_model: StrictBool = described(
        True, "Whether a training that is there goes on; False keeps it and begins anew."
    )
    allow_rebuild_base_models: StrictBool = described(
        True, "Whether bases of a multi-source may start from random weights."
    )
    allow_rebuild_base_decoders: Annotated[
        StrictBool,
        Key(
            False,
            wrong=lambda manager: (
                "" if manager.allow_rebuild_base_decoders else "decoders are always made from their settings"
            ),
        ),
    ] = described(True, "Decoders are always made from their settings: nothing else is possible.")
    keep_checkpoints: Count = described(3, "Latest checkpoints that are kept.")

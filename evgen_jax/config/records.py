"""The record of a whole configuration, and the sections of models, decoders and losses. Field names are the YAML keys."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr

from evgen_jax.config.data_records import (
    DataHandlerSettings,
    DataIteratorSettings,
    FilterSettings,
    FormatSettings,
    IteratorSettings,
    LabelSettings,
    MiscSettings,
    PulseSettings,
    TrafoSettings,
)
from evgen_jax.config.reconstruction_records import ReconstructionSettings
from evgen_jax.config.record import Key, Number, Record, described, needed
from evgen_jax.config.simulation_records import AnisotropySettings, SimulationSettings, TiltSettings
from evgen_jax.config.training_records import (
    ClassSettings,
    EvaluationSettings,
    LossArguments,
    ManagerConfig,
    ManagerSettings,
    OptimizerSettings,
    TrainingSettings,
)

BESIDE_LOADED = Key(idle=lambda settings: settings.load_dir is not None)
"""What stands beside a load_dir is not used."""


class DecoderSettings(Record):
    """A decoder: the name of its class and the settings that the class has."""

    decoder_class: StrictStr | None = described(None, "Class of the decoder.")
    config: dict[StrictStr, Any] = described({}, "Settings of the class.")
    base_decoders: dict[StrictStr, "DecoderSettings"] = described({}, "Decoders of a MixtureModel by name.")
    load_dir: StrictStr | None = described(None, "Refused: decoders have no weights of their own.")


class ModelSettings(Record):
    """A source: the name of its class and the settings that the class has, or a trained model."""

    model_class: Annotated[StrictStr | None, BESIDE_LOADED] = described(None, "Class of the source.")
    config: Annotated[dict[StrictStr, Any], BESIDE_LOADED] = described({}, "Settings of the class.")
    multi_source_bases: Annotated[dict[StrictStr, "ModelSettings"], BESIDE_LOADED] = described(
        {}, "Sources that a multi-source is made of, by name."
    )
    decoder_settings: Annotated[DecoderSettings | None, BESIDE_LOADED] = described(
        None, "Distribution of arrival times, also of the bases that have none of their own."
    )
    decoder_charge_settings: Annotated[DecoderSettings | None, BESIDE_LOADED] = described(
        None, "Distribution of charges, also of the bases that have none of their own."
    )
    data_trafo_settings: dict[StrictStr, Any] | None = described(
        None, "Normalisation of a base of its own, {model_dir: DIR}; empty: that of the whole model."
    )
    load_dir: StrictStr | None = described(
        None, "Exported model, training, or a part of one, in place of all other keys."
    )


class LossSettings(Record):
    """Its config is that of a loss term or of priors, whichever the loss module takes."""

    loss_module: StrictStr = described("DefaultLossModule", "A term of the likelihood, or SnowstormPriorLossModule.")
    loss_module_weight: Number = described(1.0, "Factor of this part of the loss.")
    config: dict[StrictStr, Any] = needed("loss_function_name and options of the term, or settings of the priors.")


class SiteSettings(Record):
    """Where on Earth a detector is and how its axes lie; z points up, azimuths are counted from x towards y."""

    latitude: Annotated[float, Field(strict=True, ge=-90, le=90)] = needed("Geodetic latitude, north positive.", "deg")
    longitude: Annotated[float, Field(strict=True, ge=-180, le=360)] = needed("Longitude, east positive.", "deg")
    x_axis: Annotated[float, Field(strict=True, ge=-360, le=360)] = needed(
        "Compass direction of the x axis, from north over east: 90 where x is the easting and y the northing.", "deg"
    )


class DetectorSettings(Record):
    """The modules, and the ice or water around them."""

    geometry: StrictStr = described("icecube86", "Table of modules (CSV), or icecube86.")
    medium: StrictStr = described("south_pole", "south_pole, mediterranean_water, or a file of layers (CSV, YAML).")
    kinds: dict[StrictStr, StrictStr] = described(
        {}, "Angular curves of kinds of sensors by name, such as 'table pmt.csv' or 'cosine 1.5'."
    )
    site: SiteSettings | Literal["icecube"] | None = described(
        None,
        "Place on Earth, for celestial coordinates: icecube, or latitude, longitude and x_axis; empty: that of the table, or "
        "IceCube's for its geometry.",
    )


class ExperimentConfig(Record):
    """One experiment: the whole content of its YAML file."""

    unique_name: StrictStr = needed("Name of the experiment, which {unique_name} stands for.")
    training_settings: TrainingSettings = needed("How long and with what is trained.")
    model_manager_settings: ManagerSettings = needed("Where a training lies and how it goes on.")
    data_iterator_settings: DataIteratorSettings = needed("Data of each purpose.")
    data_handler_settings: DataHandlerSettings = needed("How files are read.")
    data_trafo_settings: TrafoSettings = needed("The normalisation of the hypothesis parameters.")
    loss_module_settings: LossSettings | tuple[LossSettings, ...] = needed("Parts of the loss, which are added up.")
    model_settings: ModelSettings = needed("The model.")
    evaluation_module_settings: EvaluationSettings = described(EvaluationSettings(), "What is evaluated.")
    reconstruction_settings: ReconstructionSettings = described(ReconstructionSettings(), "How events are fitted.")
    detector_settings: DetectorSettings = described(DetectorSettings(), "Where light is measured, and in what.")
    simulation_settings: SimulationSettings = described(SimulationSettings(), "What is simulated.")


__all__ = [
    "AnisotropySettings",
    "ClassSettings",
    "DataHandlerSettings",
    "DataIteratorSettings",
    "DecoderSettings",
    "DetectorSettings",
    "EvaluationSettings",
    "ExperimentConfig",
    "FilterSettings",
    "FormatSettings",
    "IteratorSettings",
    "LabelSettings",
    "LossArguments",
    "LossSettings",
    "ManagerConfig",
    "ManagerSettings",
    "MiscSettings",
    "ModelSettings",
    "OptimizerSettings",
    "PulseSettings",
    "ReconstructionSettings",
    "Record",
    "SimulationSettings",
    "SiteSettings",
    "TiltSettings",
    "TrafoSettings",
    "TrainingSettings",
]

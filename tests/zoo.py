"""Every member of the zoo as a configuration section with a hypothesis: the table over which generic tests run."""

from evgen_jax.config.records import ModelSettings

ALPHA = {
    "value_range_mapping": {
        "alpha": {"value_range_class": "EluValueRange", "config": {"offset": -5.0, "min_value": 1e-4}}
    }
}
CHARGE = {"decoder_class": "NegativeBinomialDecoder", "config": ALPHA}
TIME = {
    "decoder_class": "MixtureModel",
    "config": {"decoder_mapping": {"AG": ["AG", 2, 1.0]}},
    "base_decoders": {
        "AG": {
            "decoder_class": "AsymmetricGaussianDecoder",
            "config": {
                "value_range_mapping": {
                    "sigma": {"value_range_class": "EluValueRange", "config": {"offset": -2.0, "min_value": 0.02}},
                    "r": {"value_range_class": "EluValueRange", "config": {"offset": 1.0, "min_value": 1e-4}},
                }
            },
        }
    },
}
RADIUS = 300.0


def section(model_class, bases=None, **config):
    return {"model_class": model_class, "config": config, "multi_source_bases": bases or {}}


def learned(model_class, **config):
    decoders = {"decoder_settings": TIME, "decoder_charge_settings": CHARGE}
    return section(model_class, num_filters_list=[6, 6, 10], **config) | decoders


NOISE = section("DefaultNoiseModel") | {"decoder_charge_settings": CHARGE}
CASCADE = learned("DefaultCascadeModel", scale_charge_by_angular_acceptance=True)
TRACK = learned("EnteringSphereInfTrack", sphere_radius=RADIUS, add_dom_angular_acceptance=True)
ICE = [["Absorption", 1], ["HoleIceForward_Unified_p{:01d}", 2], ["Scattering", 1]]
CASCADE_11 = learned(
    "DefaultCascadeModel",
    snowstorm_parameter_names=ICE,
    use_constant_baseline_hole_ice=False,
    scale_charge_by_relative_angular_acceptance=True,
    add_dom_angular_acceptance=True,
)
ANALYTIC = section("AnalyticCascadeModel")
ANALYTIC_TRACK = section("AnalyticSphereTrackModel", sphere_radius=RADIUS, segment_length=60.0, with_mean_losses=False)
STARTING = {"num_cascades": 4}
ON_TRACK = {"num_cascades": 3, "sphere_radius": RADIUS}
EVERY = {"cascade_spacing": 120.0, "sphere_radius": RADIUS}

ONE = [10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0]
FURTHER = [2000.0, 30.0, 500.0, 60.0, 1000.0, 90.0]
MUON = [1.2, 2.1, 9200.0, 5000.0, 1.0, 2.0]
ICE_VALUES = [0.95, 0.2, -0.05, 1.05]
ZOO = {
    # name: (section, hypothesis)
    "cascade": (CASCADE, ONE),
    "cascade with systematics": (CASCADE_11, ONE + ICE_VALUES),
    "track": (TRACK, MUON),
    "analytic cascade": (ANALYTIC, ONE),
    "analytic cascade with systematics": (
        section(
            "AnalyticCascadeModel",
            ice_parameters=["Absorption", "HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1", "Scattering"],
        ),
        ONE + ICE_VALUES,
    ),
    "analytic track": (ANALYTIC_TRACK, MUON),
    "cascade and noise": (
        section("IndependentMultiSource", {"c": CASCADE, "n": NOISE}, sources={"c": "c", "n": "n"}),
        ONE,
    ),
    "two cascades of one base": (
        section("IndependentMultiSource", {"c": CASCADE}, sources={"a": "c", "b": "c"}),
        ONE + [v * 0.9 for v in ONE],
    ),
    "starting cascades": (
        section("StartingVariableMultiCascadeModel", {"cascade": CASCADE}, **STARTING),
        ONE + FURTHER,
    ),
    "starting cascades with systematics": (
        section("StartingVariableMultiCascadeModel", {"cascade": CASCADE_11}, **STARTING),
        ONE + ICE_VALUES + FURTHER,
    ),
    "track with cascades": (
        section("InfSphereTrackVariableMultiCascadeModel", {"track": TRACK, "cascade": CASCADE}, **ON_TRACK),
        MUON + FURTHER,
    ),
    "track with equidistant cascades": (
        section("InfSphereTrackEquidistantCascadeModel", {"track": TRACK, "cascade": CASCADE}, **EVERY),
        [*MUON, 10.0, 0.0, 700.0, 3.0, 20.0],
    ),
    "track with cascades as one source": (
        learned(
            "EnteringSphereInfTrackMultiCascade",
            num_cascades=2,
            config_cascade={k: CASCADE[k] for k in ("config", "decoder_settings", "decoder_charge_settings")},
            **EVERY,
        ),
        [*MUON, 10.0, 0.0, 700.0, 3.0, 20.0],
    ),
    "finite track": (
        section("FiniteTrackMultiCascadeModel", {"cascade": ANALYTIC}, num_segments=5),
        [-80.0, -20.0, 15.0, 1.1, 3.0, 10000.0, 200.0, 300.0, 0.0, 80.0, 1000.0, 20.0],
    ),
    "sum of sums": (
        section(
            "IndependentMultiSource",
            {"start": section("StartingVariableMultiCascadeModel", {"cascade": CASCADE}, **STARTING), "n": NOISE},
            sources={"event": "start", "other": "start", "n": "n"},
        ),
        (ONE + FURTHER) + [v * 1.01 for v in ONE + FURTHER],
    ),
}


ANALYTIC_EQUIDISTANT = section(
    "InfSphereTrackEquidistantCascadeModel", {"track": ANALYTIC_TRACK, "cascade": ANALYTIC}, **EVERY
)


def settings_of(name: str) -> ModelSettings:
    return ModelSettings.model_validate(ZOO[name][0])

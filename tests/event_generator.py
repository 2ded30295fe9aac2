# ruff: noqa: UP031 (the braces are those of YAML)
"""The twelve configurations of Event-Generator, put together from the tables of what each one uses.

Flow style with comments, mixed quotes, empty values and dotted class names, as its files are written; DATA stands for the
paths that a user changes.
"""

ELU = "{'value_range_class': 'egenerator.utils.value_range.EluValueRange', config: {'scale': %s, 'offset': %s, 'min_value': %s}}"
NB = """{
    'decoder_class': 'egenerator.model.decoder.negative_binomial.NegativeBinomialDecoder',
    config: {float_precision: float32, value_range_mapping: {alpha: %s}},
}""" % (ELU % (1.0, -5, 0.0001))
CASCADE_CLASS = "egenerator.model.source.cascade.default.DefaultCascadeModel"
TRACK_CLASS = "egenerator.model.source.track.sphere.EnteringSphereInfTrack"


def time_decoder(gauss: int, gamma: int) -> str:
    mapping = f"'AssymetricGaussian': ['AssymetricGaussian', {gauss}, 1.0],"
    bases = """'AssymetricGaussian': {'decoder_class': 'egenerator.model.decoder.AsymmetricGaussianDecoder',
        config: {float_precision: float32, value_range_mapping: {
            'mu': {'value_range_class': 'egenerator.utils.value_range.BaseValueRange', config: {'scale': 0.5, 'offset': 0}},
            'sigma': %s, 'r': %s}}},""" % (ELU % (1.0, 2, 0.0001), ELU % (1.0, 1, 0.0001))
    if gamma:
        mapping += f" 'GammaFunction': ['GammaFunction', {gamma}, 10.0],"
        bases += """'GammaFunction': {'decoder_class': 'egenerator.model.decoder.GammaFunctionDecoder',
            config: {offset: 0, float_precision: float32, value_range_mapping: {'alpha': %s, 'beta': %s}}},""" % (
            ELU % (0.3, 2.5, 0.5),
            ELU % (1.0, 10, 1.0),
        )
    return """{
    'decoder_class': 'egenerator.model.decoder.mixture.MixtureModel',
    config: {float_precision: float32, decoder_mapping: {%s}, value_range_mapping: {weight: %s}},
    base_decoders: {%s},
}""" % (mapping, ELU % (1.0, 1, 0.00001), bases)


def network(layers: list[int], per_dom: int = 1) -> str:
    n = len(layers)
    methods = ["locally_connected"] * per_dom + ["convolution"] * (n - per_dom)
    return (
        f"'filter_size_list': {[[1, 1]] * n}, 'method_list': {methods}, 'num_filters_list': {layers},\n"
        f"'use_dropout_list': False, 'activation_list': {['elu'] * (n - 1) + ['']}, 'use_batch_norm_list': False,\n"
        f"'use_residual_list': {[True] * (n - 1) + [False]}, 'keep_prob': ,"
    )


def switches(acceptance_input: bool, acceptance_scale: bool, constant: bool, loc: str = "['mu']") -> str:
    return (
        f"float_precision: float32, 'add_anisotropy_angle': True, 'add_dom_angular_acceptance': {acceptance_input},\n"
        f"'add_dom_coordinates': False, 'num_local_vars': 0, 'scale_charge': True, 'charge_scale_tensors': {loc},\n"
        "'scale_charge_by_relative_dom_efficiency': True, 'scale_charge_by_global_dom_efficiency': False,\n"
        f"'scale_charge_by_angular_acceptance': {acceptance_scale},\n"
        "'scale_charge_by_relative_angular_acceptance': False,\n"
        f"'use_constant_baseline_hole_ice': {constant}, 'baseline_hole_ice_p0': 0.25, 'baseline_hole_ice_p1': -0.06,"
    )


TINY, DEFAULT, BIG = [25, 50, 50, 50, 28], [50, 100, 100, 100, 100, 45], [50, 50, *[200] * 7, 42]
AG = [0, -100, 100, 8000, 4000, 800, 300, -50, -20, 400]
SEEDS = {
    "tiny": [0, -100, 100, 4000, 800, -20, 0],
    "default": [*AG[:7], -50, -20, -10, -5, 0],
    "ag": AG,
    "k30": [0, -100, 100, 8000, 4000, -20, -5],
}
ICE = "'snowstorm_parameter_names': [['Absorption', 1], ['HoleIceForward_Unified_p{:01d}', 2], ['Scattering', 1]],"


def cascade(
    layers, seeds, components, per_dom=1, scale=True, ice=False, head=f"'model_class': '{CASCADE_CLASS}',"
) -> str:
    systematics = ICE if ice else "'snowstorm_parameter_names': [],"
    return f"""{{ {head}
    config: {{ {switches(ice, scale, not ice)}
        'shift_cascade_vertex': True, 'add_opening_angle': True, 'additional_label_names': , {systematics}
        'mixture_component_t_seeds': {SEEDS[seeds]}, # ns
        {network(layers, per_dom)} }},
    decoder_charge_settings: {NB}, decoder_settings: {time_decoder(*components)} }}"""


def sphere_track(more: str = "", name: str = TRACK_CLASS) -> str:
    return f"""{{ 'model_class': '{name}',
    config: {{ {switches(True, True, True)} sphere_radius: 750, 'charge_distribution_type': 'negative_binomial',
        'mixture_component_t_seeds': {SEEDS["default"]}, {network(DEFAULT)} {more} }},
    decoder_charge_settings: {NB}, decoder_settings: {time_decoder(7, 5)} }}"""


NOISE = """{ 'model_class': 'egenerator.model.source.noise.default.DefaultNoiseModel',
    config: {float_precision: float32, 'num_local_vars': 9, 'charge_scale_tensors': [
        'NegativeBinomial_mu_000', 'NegativeBinomial_mu_001', 'NegativeBinomial_mu_002']},
    decoder_settings: {}, decoder_charge_settings: {
        'decoder_class': 'egenerator.model.decoder.mixture.MixtureModel',
        config: {float_precision: float32, decoder_mapping: {'NegativeBinomial': ['NegativeBinomial', 3, 1.0]},
                 value_range_mapping: {weight: %s}},
        base_decoders: {'NegativeBinomial': %s} } }""" % (ELU % (1.0, 1, 0.000001), NB)
LOADED_NOISE = "{'load_dir': DATA/models/big/noise, data_trafo_settings: {'model_dir': DATA/models/big/trafo}}"


def multi(name: str, config: str, bases: str) -> str:
    return f"{{ 'model_class': 'egenerator.model.multi_source.{name}', config: {{ {config} }},\n multi_source_bases: {{ {bases} }} }}"


def independent(name: str, model: str, noise: str = NOISE) -> str:
    sources = f"'sources': {{'noise': 'noise', '{name}': '{name}'}},"
    return multi("independent.IndependentMultiSource", sources, f"noise: {noise}, {name}: {model}")


def loaded(path: str, inline: str = "") -> str:
    return f"{{ 'load_dir': DATA/models/{path}, data_trafo_settings: {{'model_dir': DATA/models/trafo}}, {inline} }}"


def starting(count: int) -> str:
    return multi(
        "muon.starting.StartingVariableMultiCascadeModel",
        f"num_cascades: {count}, float_precision: float32",
        f"cascade: {loaded('big/cascade')}",
    )


TIME, DOM, MPE = "unbinned_pulse_time_llh", "dom_charge_pdf", "unbinned_pulse_time_mpe_llh"
FOUR = (TIME, "normalized_dom_charge_pdf", "negative_binomial_charge_pdf", "negative_binomial_event_charge_pdf")
CASCADE_LABELS = "snowstorm.SnowstormCascadeGeneratorLabelModule"
GENERAL = "general.GeneralLabelModule"
TRACK_NAMES = ["entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth"]
TRACK_LOG = [False, False, False, True, False, False]
CASCADE_LOG = [False, False, False, False, False, True, False]
ONE_SOURCE_CASCADE = cascade([30, 100, 100, 28], "k30", (5, 2), scale=False, head="")


def _pairs(number: int, width: int, first: int = 1) -> list[str]:
    return [f"cascade_{i:0{width}d}_{p}" for i in range(first, number) for p in ("energy", "distance")]


def _starting_row(n: int):
    labels = (
        f"label_key: EventGeneratorMultiCascadeLabels, additional_labels: {_pairs(n, 5)}, "
        f"trafo_log: {CASCADE_LOG + [True, False] * (n - 1)}"
    )
    return independent("cascade", starting(n), LOADED_NOISE), FOUR, CASCADE_LABELS, labels, 7 + 2 * (n - 1)


CASCADE_LABEL_SETTINGS = f"label_key: LabelsMCCascade, additional_labels: , trafo_log: {CASCADE_LOG}"
TRACK_LABEL_SETTINGS = f"label_key: LabelsMCTrackSphere, parameter_names: {TRACK_NAMES}, trafo_log: {TRACK_LOG}"
ICE_LABELS = (
    CASCADE_LABEL_SETTINGS + ", snowstorm_key: SnowstormParameterDict, snowstorm_parameters: "
    "[Absorption, HoleIceForward_Unified_00, HoleIceForward_Unified_01, Scattering]"
)
EQUIDISTANT_LABELS = f"label_key: LabelsMCTrackSphere, num_cascades: 150, trafo_log: {[*TRACK_LOG, True]}"
EQUIDISTANT_MODULE = "snowstorm.SnowstormTrackEquidistantCascadesLabelModule"
CONFIGURATIONS = {
    # name: (model section, losses, label module, label settings, number of parameters)
    "cascade_7param_noise_ftpv3m__tiny": (
        cascade(TINY, "tiny", (5, 2), scale=False),
        (TIME, DOM),
        CASCADE_LABELS,
        CASCADE_LABEL_SETTINGS,
        7,
    ),
    "cascade_7param_noise_ftpv3m": (
        independent("cascade", cascade(DEFAULT, "default", (7, 5))),
        (TIME, DOM),
        CASCADE_LABELS,
        CASCADE_LABEL_SETTINGS,
        7,
    ),
    "cascade_7param_noise_ftpv3m__ag": (
        independent("cascade", cascade([*DEFAULT[:-1], 42], "ag", (10, 0))),
        (TIME, DOM),
        CASCADE_LABELS,
        CASCADE_LABEL_SETTINGS,
        7,
    ),
    "cascade_7param_noise_ftpv3m__big": (
        independent("cascade", cascade(BIG, "ag", (10, 0), per_dom=2)),
        FOUR,
        CASCADE_LABELS,
        CASCADE_LABEL_SETTINGS,
        7,
    ),
    "cascade_11param_noise_ftpv3m": (
        independent("cascade", cascade(DEFAULT, "default", (7, 5), ice=True)),
        (TIME, DOM, "prior"),
        CASCADE_LABELS,
        ICE_LABELS,
        11,
    ),
    "starting_multi_cascade_7param_noise_ftpv3m__big_n002": _starting_row(2),
    "starting_multi_cascade_7param_noise_ftpv3m__big_n003": _starting_row(3),
    "starting_multi_cascade_7param_noise_ftpv3m__big_n005": _starting_row(5),
    "track_sphere_6param_ftpv3m": (independent("track", sphere_track()), (MPE,), GENERAL, TRACK_LABEL_SETTINGS, 6),
    "track_sphere_5cascades_ftpv3m": (
        independent(
            "track",
            multi(
                "track.inf_sphere.InfSphereTrackVariableMultiCascadeModel",
                "num_cascades: 5, sphere_radius: 750,",
                # What stands beside a load_dir is not used.
                f"cascade: {loaded('big/cascade', cascade(DEFAULT, 'default', (7, 5))[1:-1])}, track: {loaded('track/track')}",
            ),
            LOADED_NOISE,
        ),
        (MPE, DOM),
        GENERAL,
        f"label_key: LabelsMCTrackSphere, parameter_names: {TRACK_NAMES + _pairs(5, 4, 0)}, "
        f"trafo_log: {TRACK_LOG + [True, False] * 5}",
        16,
    ),
    "track_sphere_dist_10_ftpv3m": (
        independent(
            "track",
            multi(
                "track.inf_sphere.InfSphereTrackEquidistantCascadeModel",
                "sphere_radius: 750, cascade_spacing: 10,",
                f"cascade: {loaded('tiny')}, track: {loaded('track/track')}",
            ),
            LOADED_NOISE,
        ),
        (TIME, DOM),
        EQUIDISTANT_MODULE,
        EQUIDISTANT_LABELS,
        156,
    ),
    "track_sphere_dist_10_ftpv3m__test": (
        independent(
            "track",
            sphere_track(
                f"cascade_spacing: 10, num_cascades: 30, config_cascade: {ONE_SOURCE_CASCADE},",
                "egenerator.model.source.track.multi.EnteringSphereInfTrackMultiCascade",
            ),
        ),
        (TIME, DOM),
        EQUIDISTANT_MODULE,
        EQUIDISTANT_LABELS,
        156,
    ),
}
PRIOR = """{'loss_module': 'snowstorm.SnowstormPriorLossModule', loss_module_weight: 1.0, config: {float_precision: float32,
    sigmas: [], uniform_parameters: {Absorption: [0.913, 1.087], Scattering: [0.913, 1.087],
    HoleIceForward_Unified_p0: [-0.1, 0.5], HoleIceForward_Unified_p1: [-0.1, 0.0]}}}"""


def text(name: str) -> str:
    """One configuration as a file."""
    model, losses, label_module, labels, _ = CONFIGURATIONS[name]
    function = (
        "{'loss_module': 'default.DefaultLossModule', loss_module_weight: 1.0, config: {float_precision: float32, "
        "add_normalization_term: True, loss_function_name: '%s'}}"
    )
    loss = ",\n".join(PRIOR if n == "prior" else function % n for n in losses)
    particle = "'zenith': track_zenith, 'azimuth': track_azimuth, 'energy': , 'time': "
    if not name.startswith("track"):
        particle = "'x': cascade_x, 'y': cascade_y, 'z': cascade_z, 'zenith': , 'azimuth': , 'energy': , 'time': "
    if name.endswith("tiny"):  # the cascade alone: its parameters have no prefix
        particle = particle.replace("cascade_", "")
    decay = "full_class_string: 'tensorflow.keras.optimizers.schedules.PolynomialDecay', settings: "

    def iterator(batch: int, jobs: int, more: str) -> str:
        return (
            f"{{'batch_size': {batch}, 'num_jobs': {jobs}, 'file_capacity': 5, 'batch_capacity': 100, 'num_splits': , "
            f"'dataset_capacity': 10, 'biased_selection_module': , 'input_data': ['DATA/events/*.hdf5'], {more}}}"
        )

    return f"""#-----------------
# {name}
#-----------------
unique_name: {name}
training_settings: {{
    'optimizer_name': 'Adam',
    'optimizer_settings': {{ learning_rate: {{
        full_class_string: 'egenerator.utils.learning_rate.MultiLearningRateScheduler',
        settings: {{ 'boundaries': [1000, 1000000], 'scheduler_settings': [
            {{{decay}{{initial_learning_rate: 0.00001, end_learning_rate: 0.001, decay_steps: 1000}}}},
            {{{decay}{{initial_learning_rate: 0.001, end_learning_rate: 0.001, decay_steps: 999000}}}},
            {{{decay}{{initial_learning_rate: 0.001, end_learning_rate: !!float 1e-6, decay_steps: 500000, power: 2}}}} ] }} }} }},
    'l1_regularization': 0., 'l2_regularization': 0, 'clip_gradients_value': , 'remove_nan_gradients': False,
    'validation_frequency': 100, 'evaluation_frequency': 100, 'save_frequency': 500, 'num_training_iterations': 1500000,
    'additional_loss_module_kwargs': {{'normalize_by_total_charge': False}},
}}
reconstruction_settings: {{
    'reco_output_file': 'DATA/reco/{{unique_name}}.hdf5', 'calculate_covariance_matrix': False,
    'calculate_goodness_of_fit': False, 'estimate_angular_uncertainty': False, 'run_mcmc': False, 'make_1d_llh_scans': False,
    'parameter_tensor_name': 'x_parameters', 'seed': 'x_parameters', 'seed_missing_value': 1000, 'seed_missing_value_dict': {{}},
    'seed_float_precision': 'float32', 'reco_optimizer_interface': 'scipy',
    'scipy_optimizer_settings': {{'method': 'BFGS', 'options': {{'gtol': 10}}}}, 'tf_optimizer_settings': {{'method': 'bfgs'}},
    'minimize_in_trafo_space': True, 'minimize_parameter_default_value': True, 'minimize_parameter_dict': {{}},
}}
model_manager_settings: {{
    'model_manager_class': 'egenerator.manager.source.SourceManager', 'restore_model': True,
    config: {{'manager_dir': 'DATA/manager/{{unique_name}}', 'I3ParticleMapping': {{
        {particle} }}}},
    allow_rebuild_base_models: True, allow_rebuild_base_decoders: True,
}}
data_iterator_settings: {{
    'training': {iterator(32, 8, "'num_add_files': 8, 'num_repetitions': 5, 'sample_randomly': True, 'pick_random_files_forever': True")},
    'trafo': {iterator(32, 20, "'num_add_files': 0, 'num_repetitions': 1, 'pick_random_files_forever': False")},
    'validation': {iterator(32, 3, "'num_add_files': 3, 'num_repetitions': 1, 'verbose': False")},
    'test': {iterator(1, 1, "'sample_randomly': False, 'pick_random_files_forever': False")},
}}
loss_module_settings: [
{loss}
]
evaluation_module_settings: {{ 'evaluation_module':, 'config': {{}} }}
data_trafo_settings: {{'float_precision': 'float64', 'norm_constant': !!float 1e-6, 'num_batches': 5000, 'model_dir': DATA/trafo}}
data_handler_settings: {{
    'data_handler': 'modular.ModuleDataHandler', 'data_module': 'pulse_data.PulseDataModule',
    'data_settings': {{'pulse_key': 'MCPulses', 'event_id_key': 'LabelsMCCascade', 'dom_exclusions_key': BadDomsList,
        'time_exclusions_key': , 'float_precision': 'float32', 'add_charge_quantiles': False,
        'discard_pulses_from_excluded_doms': False, 'time_window_buffer': 100. }},
    'label_module': '{label_module}', 'label_settings': {{float_precision: 'float32', {labels} }},
    'weight_module': 'dummy.DummyWeightModule', 'weight_settings': {{}},
    'misc_module': 'seed_loader.SeedLoaderMiscModule', 'misc_settings': {{'seed_names': [], 'seed_parameter_names': [],
        'float_precision': 'float32', 'missing_value_dict': {{}} }},
    'filter_module': 'general_filter.GeneralFilterModule', 'filter_settings': {{'constraints': []}},
}}
model_settings: {model}
...
"""

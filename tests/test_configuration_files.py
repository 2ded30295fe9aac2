"""Configuration files read to the letter: keys, numbers, placeholders, settings of SciPy."""

import pytest
from zoo import TIME, learned

from evgen_jax.building.decoders import build_decoder
from evgen_jax.building.model import build_source
from evgen_jax.config.reader import read_yaml
from evgen_jax.config.records import DecoderSettings, LabelSettings, ModelSettings, ReconstructionSettings
from evgen_jax.config.scipy_settings import checked_scipy_settings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.sources.composite.independent import independent_multi_source


def written(directory, text, name="config.yaml"):
    path = directory / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text, message",
    [
        ("model_settings: {config: { [...] }}", "line 1: a list stands where a key is expected"),
        ("a: 1\nb: { {c: 1}: 2 }", "line 2: a mapping stands where a key is expected"),
        ("? [a, b]\n: 1", "line 1: a list stands where a key is expected"),
        ("a: {1: 2}", "line 1: the key 1 is a number"),
        ("a: {1.5: 2}", "line 1: the key 1.5 is a number"),
        ("a: {true: 2}", "line 1: the key true is a flag"),
        ("a: {~: 2}", "line 1: the key ~ is empty"),
        ("a: {2024-01-01: 2}", "line 1: the key 2024-01-01 is a date"),
        ("a: {b: 1, 'b': 2}", "line 1: the key 'b' is given twice"),
        ("a: 2024-13-45", "line 1: no valid YAML ('2024-13-45' is no timestamp)"),
        ("a: !!int seven", "line 1: no valid YAML ('seven' is no int)"),
        ("a: !!python/object:os.system {}", "line 1: no valid YAML (could not determine a constructor"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("a: \0", "no valid YAML (unacceptable character"),
    ],
)
def test_what_is_no_key_or_no_value_is_one_line(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_are_those_of_yaml_1_2_and_names_stay_names(tmp_path):
    text = "a: [010, 1e-6, !!float 1e-6, 1., .5, -1.5E+3, 0x1f, 0o17, 1:30, .inf]\nb: &b {on: 1, no: 2, y: 3}\nc: {<<: *b, y: 4}"
    values = read_yaml(written(tmp_path, text))
    assert values["a"] == [10, 1e-6, 1e-6, 1.0, 0.5, -1500.0, 31, 15, "1:30", float("inf")]
    assert values["b"] == {"on": 1, "no": 2, "y": 3} and values["c"] == {"on": 1, "no": 2, "y": 4}


def test_placeholders_stand_for_values(tmp_path):
    one = written(
        tmp_path, "unique_name: '{config_name}_a'\npaths: {dir: 'D/{unique_name}', list: ['{paths[dir]}/*.{h5,hdf5}']}"
    )
    two = written(
        tmp_path, "number: 7\nother: ['ice_{:02d}', '{}', '{0}', '{{kept}}', '{number:03d}', '{ spaced }']", "two.yaml"
    )
    three = written(tmp_path, "where: '{directory}/x'", "three.yaml")
    values = read_yaml([one, two])
    values |= read_yaml(three)
    assert values["paths"]["dir"] == "D/config__two_a" and values["where"] == f"{tmp_path}/x"
    assert values["paths"]["list"] == ["D/config__two_a/*.{h5,hdf5}"]
    assert values["other"] == ["ice_{:02d}", "{}", "{0}", "{kept}", "007", "{ spaced }"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("unique_name: n\na: {b: 'x/{unique_nam}'}", "a.b: the placeholder {unique_nam} stands for nothing"),
        ("unique_name: n\na: ['{unique_nam}']", "Did you mean 'unique_name'?"),
        ("a: {b: 'x/{git_short_sha}'}", "a.b: the placeholder {git_short_sha} is the commit of a repository"),
        ("a: '{egenerator_dir}/x'", "a: the placeholder {egenerator_dir} is the directory of Event-Generator"),
        ("a: '{b}'\nb: '{a}'", "stands inside its own value"),
        ("a: {b: 1}\nc: '{a}'", "c: the placeholder {a} stands for nothing"),
        ("a: x\nb: '{a:03d}'", "b: the placeholder {a:03d} has a format that does not fit 'x'"),
    ],
)
def test_placeholders_that_stand_for_nothing_are_refused(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}: ")


def test_settings_of_scipy():
    assert checked_scipy_settings(
        {"jac": True, "method": "bfgs", "options": {"gtol": 10, "disp": False}, "tol": None}
    ) == {"method": "BFGS", "options": {"gtol": 10}}
    assert checked_scipy_settings({}) == {"method": "BFGS"}
    for settings, message in (
        ({"jac": False}, ".jac: got False"),
        ({"fun": 1}, ".fun: is already given"),
        ({"x0": []}, ".x0: is already given"),
        ({"hess": "x"}, ".hess: is already"),
        ({"callback": None}, ".callback: is already"),
        ({"bounds": []}, ".bounds: is"),
        ({"method": "BFSG"}, "Did you mean 'BFGS'?"),
        ({"method": ["BFGS"]}, ".method: ['BFGS'] is unknown"),
        ({"option": {}}, "Did you mean 'options'?"),
        ({"options": [1]}, ".options: got [1]"),
        ({"options": {"gtoll": 1}}, "Did you mean 'gtol'?"),
        ({"options": {"eps": 1}}, ".options.eps: BFGS does not"),
        ({"options": {"gtol": "10"}}, ".options.gtol: got '10'"),
        ({"options": {"maxiter": 0}}, ".options.maxiter: got 0"),
        ({"options": {"maxiter": 10.0}}, "expected a whole number"),
        ({"options": {"c1": 0.95}}, "expected 0 < c1 < c2 < 1"),
        ({"method": "L-BFGS-B", "options": {"norm": 2}}, "L-BFGS-B does not"),
        ({"tol": -1}, ".tol: got -1"),
    ):
        with pytest.raises(ConfigError) as caught:
            validate(ReconstructionSettings, {"scipy_optimizer_settings": settings}, "config.yaml")
        assert str(caught.value).startswith("config.yaml: scipy_optimizer_settings.") and message in str(caught.value)


def test_settings_of_scipy_in_python_are_checked_as_well(exported_model):
    from evgen_jax.reconstruction.fit.fit import make_fitter

    with pytest.raises(EvgenError, match=r"optimizer_settings\.options\.gtoll: BFGS does not have it"):
        make_fitter(exported_model, FitSettings(method="BFGS", optimizer_settings={"options": {"gtoll": 1}}))


@pytest.fixture
def exported_model(detector):
    from evgen_jax.building.analytic import analytic_model

    return analytic_model(detector)


def test_an_unknown_key_is_told_whatever_it_looks_like():
    for key in ("a[0]", "str", "Settings", ""):
        with pytest.raises(ConfigError) as caught:
            validate(LabelSettings, {key: 1}, "config.yaml")
        assert str(caught.value).startswith(f"config.yaml: {key}: unknown key.")


def test_no_logarithm_where_none_is_given():
    flags = [
        validate(LabelSettings, {"trafo_log": given}, "f").trafo_log for given in (None, [None, True], True, False)
    ]
    assert flags == [False, (False, True), True, False]


def test_names_of_ice_properties():
    def source(**more):
        return build_source(ModelSettings.model_validate(learned("DefaultCascadeModel", **more)))[0]

    more = {"snowstorm_parameter_names": [["A", 1], ["ice_{:02d}", 2], "B"], "additional_label_names": ["c"]}
    assert source(**more).parameter_names[7:] == ("c", "A", "ice_00", "ice_01", "B")
    for wrong in (["ice_{x}", 2], ["ice_{", 2], ["ice", -1], ["ice"], [3], "ice"):
        with pytest.raises(ConfigError, match="model_settings.config.snowstorm_parameter_names: "):
            source(snowstorm_parameter_names=wrong if isinstance(wrong, str) else [wrong])


@pytest.mark.parametrize(
    "path, value, message",
    [
        ("num_filters_list", [True, 6, 10], "num_filters_list: expected a list of positive ints"),
        ("filter_size_list", 2.5, "filter_size_list: only [1, 1]"),
        ("activation_list", [[], "elu", ""], "activation '[]' is unknown"),
        ("keep_prob", "x", "keep_prob: expected a number, got 'x'"),
        ("keep_prob", float("nan"), "keep_prob: expected a number, got nan"),
        ("float_precision", ["float32"], "float_precision: expected 'float32' or 'float64', got ['float32']"),
        ("charge_scale_tensors", "mu", "charge_scale_tensors: expected a list of names, got 'mu'"),
        ("mixture_component_t_seeds", ["a", 1], "mixture_component_t_seeds[0]: expected a number, got 'a'"),
        ("baseline_hole_ice_p0", float("inf"), "baseline_hole_ice_p0: expected a number"),
    ],
)
def test_values_of_another_kind_are_one_line(path, value, message):
    plain = learned("DefaultCascadeModel")
    plain["config"][path] = value
    with pytest.raises(ConfigError) as caught:
        build_source(ModelSettings.model_validate(plain))
    assert message in str(caught.value) and str(caught.value).startswith("model_settings")


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"decoder_mapping": {"AG": ["AG", 2.0, 1.0]}},
            "decoder_mapping.AG: expected a whole number of copies >= 1, got 2.0",
        ),
        ({"decoder_mapping": {"AG": [["AG"], 2, 1.0]}}, "decoder_mapping.AG: base '['AG']' is not in base_decoders"),
        ({"decoder_mapping": {"AG": ["AG", 2, "1"]}}, "decoder_mapping.AG: weight factor: expected a number, got '1'"),
        ({"value_range_mapping": [1]}, "value_range_mapping: expected {parameter: value range}, got [1]"),
        (
            {"value_range_mapping": {"weight": {"value_range_class": 2}}},
            "value_range_class: expected the name of a class",
        ),
        (
            {"value_range_mapping": {"weight": {"value_range_class": "EluValueRange", "config": 3}}},
            "config: expected a mapping",
        ),
        (
            {"value_range_mapping": {"weight": {"value_range_class": "EluValueRange", "config": {"scale": "1"}}}},
            "weight.config.scale: expected a number, got '1'",
        ),
    ],
)
def test_decoders_of_another_kind_are_one_line(change, message):
    with pytest.raises(ConfigError) as caught:
        build_decoder(DecoderSettings.model_validate({**TIME, "config": {**TIME["config"], **change}}))
    assert message in str(caught.value)


def test_sources_are_a_mapping_of_names():
    for sources, message in (
        ([["c", "c"]], "config.sources: expected {source: base}"),
        ({"c": ["c"]}, "uses the base"),
    ):
        with pytest.raises(ConfigError, match=message):
            independent_multi_source(sources, {"c": None})


def test_a_list_of_one_table_of_seeds_is_that_table():
    for given, read in ((["pulses"], "pulses"), (["A", "B"], ("A", "B")), ("A", "A")):
        assert validate(ReconstructionSettings, {"seed": given}, "config.yaml").seed == read
    with pytest.raises(ConfigError, match=r"config.yaml: seed: expected the name of a table, .* an empty list"):
        validate(ReconstructionSettings, {"seed": []}, "config.yaml")


def test_what_fits_events_is_known_by_name():
    for given, read in (("SciPy", "scipy"), ("batched", "batched"), ("tfp", "tfp")):
        assert (
            validate(ReconstructionSettings, {"reco_optimizer_interface": given}, "c.yaml").reco_optimizer_interface
            == read
        )
    with pytest.raises(
        ConfigError, match="c.yaml: reco_optimizer_interface: got 'scippy'; expected one of .* Did you mean 'scipy'"
    ):
        validate(ReconstructionSettings, {"reco_optimizer_interface": "scippy"}, "c.yaml")

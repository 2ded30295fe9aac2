"""A later configuration file and --set override key by key, which is told, stored and exported."""

from pathlib import Path

import pytest
import yaml

from evgen_jax.building.directory import load_model
from evgen_jax.config.overrides import SET, assign, origins_of, override
from evgen_jax.config.reader import read_yaml, with_settings
from evgen_jax.config.validate import load_config, load_members
from evgen_jax.errors import ConfigError
from evgen_jax.training.metrics import read_metrics


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def told(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if ": overrides " in r.getMessage()]


def test_a_later_file_overrides_key_by_key_and_is_told(tmp_path, caplog):
    one = written(tmp_path, "one.yaml", "a: {b: 1, c: {d: [1, 2], e: text}, f: 3}\ng: 4\n")
    two = written(tmp_path, "two.yaml", "a: {b: 1, c: {d: [3]}, h: {i: 5}}\n")
    three = written(tmp_path, "three.yaml", "a: {c: {e: }}\ng: {j: 6}\n")
    assert read_yaml([one, two, three]) == {
        "a": {"b": 1, "c": {"d": [3], "e": None}, "f": 3, "h": {"i": 5}},
        "g": {"j": 6},
    }
    assert told(caplog) == [
        f"{two}: overrides a.c.d: [1, 2] -> [3].",
        f"{three}: overrides a.c.e: 'text' -> None; g: 4 -> {{'j': 6}}.",
    ]


def test_settings_of_the_command_line_come_last(tmp_path, caplog):
    one = written(tmp_path, "one.yaml", "a: {b: 1}\nlist: [{c: 2}, {c: 3}]\nempty:\n")
    settings = ["a.b=1e-3", "list[1].c=[x, 'y']", "list.0.c=false", "empty.new.key=text", "a.b=0.5", "a.d={e: 1}"]
    assert read_yaml(one, settings) == {
        "a": {"b": 0.5, "d": {"e": 1}},
        "list": [{"c": False}, {"c": ["x", "y"]}],
        "empty": {"new": {"key": "text"}},
    }
    assert told(caplog) == [
        "--set a.b=1e-3: overrides a.b: 1 -> 0.001.",
        "--set list[1].c=[x, 'y']: overrides list.1.c: 3 -> ['x', 'y'].",
        "--set list.0.c=false: overrides list.0.c: 2 -> False.",
        "--set empty.new.key=text: overrides empty.new.key: (not given) -> 'text'.",
        "--set a.b=0.5: overrides a.b: 0.001 -> 0.5.",
        "--set a.d={e: 1}: overrides a.d: (not given) -> {'e': 1}.",
    ]
    caplog.clear()
    read_yaml(one, ["a.b=1"])
    assert told(caplog) == []  # it is that already


def test_a_mapping_of_the_command_line_is_joined_with_what_is_there(tmp_path, caplog):
    """As that of a later file; after null it is all that there is."""
    one = written(tmp_path, "one.yaml", "a: {b: {c: 1, d: {e: 2, f: 3}}}\nlist: [{c: 2, d: {e: 1}}]\n")
    assert read_yaml(one, ["a.b={c: 5, d: {f: 4}, g: 6}", "list.0={d: {h: 7}}"]) == {
        "a": {"b": {"c": 5, "d": {"e": 2, "f": 4}, "g": 6}},
        "list": [{"c": 2, "d": {"e": 1, "h": 7}}],
    }
    assert told(caplog) == ["--set a.b={c: 5, d: {f: 4}, g: 6}: overrides a.b.c: 1 -> 5; a.b.d.f: 3 -> 4."]
    assert read_yaml(one, ["a.b=null", "a.b={g: 6}"])["a"] == {"b": {"g": 6}}
    assert with_settings({"a": {"b": {"c": 1, "d": 2}}}, ["a.b={c: 3}"]) == {"a": {"b": {"c": 3, "d": 2}}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("a.0.b=1", "--set a.0.b=1: a: is a mapping with the keys b, no list; leave the number 0 out"),
        ("a[1]=1", "a: is a mapping with the keys b, no list; leave the number 1 out"),
        ("new.0=1", "new: is empty, no list; leave the number 0 out"),
        ("a.b", "--set a.b: expected section.key=value, such as"),
        ("=1", "expected section.key=value"),
        ("a..b=1", "expected section.key=value"),
        ("a.b=[1", "--set a.b=[1: the value is no valid YAML"),
        ("g.x=1", "--set g.x=1: g: is 4, which has no keys; 'x' was given"),
        ("list.2=1", "list: is a list of 2; expected a number from 0 instead of '2'"),
        ("list.x.y=1", "list: is a list of 2; expected a number from 0 instead of 'x'"),
        ("a.b={c: 1, c: 2}", "the key 'c' is given twice"),
    ],
)
def test_settings_that_cannot_be(setting, message, tmp_path):
    one = written(tmp_path, "one.yaml", "a: {b: 1}\ng: 4\nlist: [1, 2]\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(one, [setting])
    assert message in str(caught.value)


def test_a_directory_is_that_of_the_file_that_gave_the_key(tmp_path, monkeypatch):
    """{directory} belongs to a file, {unique_name} to the whole."""
    one = written(
        tmp_path / "x", "one.yaml", "unique_name: old\na: {b: '{directory}/1', c: '{directory}/{unique_name}'}\n"
    )
    two = written(tmp_path / "y", "two.yaml", "a: {b: '{directory}/2'}\n")
    monkeypatch.chdir(tmp_path)
    values = read_yaml([one, two], ["unique_name=new", "a.d='{directory}/{config_name}'"])
    assert values["a"] == {"b": f"{tmp_path}/y/2", "c": f"{tmp_path}/x/new", "d": f"{tmp_path}/one__two"}
    for path, settings in ((two, ()), (SET, ["a.b='{nothing}'"])):
        two.write_text("a: {b: '{nothing}'}\n" if path is two else "{}\n")
        with pytest.raises(ConfigError, match=rf"^{path}: a.b: the placeholder {{nothing}} stands for nothing"):
            read_yaml([one, two], settings)


def test_parts_that_a_file_names_twice_are_set_one_by_one(tmp_path):
    one = written(tmp_path, "one.yaml", "a: &part {b: 1}\nc: *part\nd: [*part, *part]\n")
    assert read_yaml(one, ["a.b=2", "d.0.b=3"]) == {"a": {"b": 2}, "c": {"b": 1}, "d": [{"b": 3}, {"b": 1}]}


def test_overriding_changes_nothing_that_was_given():
    values, origins = {"a": {"b": 1}}, origins_of({"a": {"b": 1}}, Path("one"))
    later = {"a": {"c": {"d": 2}}}
    override(values, origins, later, Path("two"))
    assign(values, origins, "a.c.d", 3, "")
    assert later == {"a": {"c": {"d": 2}}} and values == {"a": {"b": 1, "c": {"d": 3}}}
    assert origins == {"a": {"b": Path("one"), "c": {"d": SET}}}
    kept = {"a": {"b": 1}}
    assert with_settings(kept, ["a.b=2"]) == {"a": {"b": 2}} and kept == {"a": {"b": 1}}
    with pytest.raises(ConfigError, match=r"--set b.c=1: 'b' cannot be set here; known: a"):
        with_settings(kept, ["b.c=1"])


UNKNOWN = "training_settings.num_training_iteration=3"


@pytest.mark.parametrize("name", ["create-trafo", "train", "export", "simulate"])
def test_an_unknown_key_is_told_by_every_command(name, experiment, command, tmp_path):
    more = ["-o", tmp_path / "out"] if name in ("export", "simulate") else []
    code, _, err = command(name, experiment / "config.yaml", *more, "--set", UNKNOWN)
    assert code == 2 and err.splitlines()[-1].startswith(
        f"error: {experiment / 'config.yaml'}, --set {UNKNOWN}: training_settings.num_training_iteration: unknown key."
    )
    assert err.endswith("Did you mean 'num_training_iterations'?\n") and not list(tmp_path.iterdir())
    code, _, err = command(name, experiment / "config.yaml", *more, "--set", "training_settings.log_every=ten")
    assert code == 2 and "training_settings.log_every: got 'ten'; " in err


def test_what_was_overridden_is_trained_stored_and_exported(experiment, command, tmp_path, caplog):
    """In all three ways: the first file, a later one, the command line."""
    later = written(
        tmp_path,
        "later.yaml",
        f"""
        training_settings: {{num_training_iterations: 5, save_frequency: 3}}
        model_manager_settings: {{config: {{manager_dir: '{tmp_path}/run'}}}}
        """,
    )
    config = (experiment / "config.yaml", later)
    settings = (
        "--set",
        "training_settings.num_training_iterations=3",
        "--set",
        "reconstruction_settings.max_iterations=7",
    )
    code, out, err = command("train", *config, *settings)
    assert code == 0 and out.startswith(f"3 steps done; the model is in {tmp_path}/run"), err
    assert any(
        f"{later}: overrides training_settings.num_training_iterations: 12 -> 5; " in line for line in told(caplog)
    )
    assert "num_training_iterations: 5 -> 3." in caplog.text
    assert [line["step"] for line in read_metrics(tmp_path / "run") if line["kind"] == "training"] == [1, 2, 3]
    stored = yaml.safe_load((tmp_path / "run" / "config_0001.yaml").read_text())
    assert (
        stored["training_settings"]["num_training_iterations"] == 3
        and stored["training_settings"]["save_frequency"] == 3
    )
    assert load_config(tmp_path / "run" / "config_0001.yaml").reconstruction_settings.max_iterations == 7
    code, _, err = command("export", *config, *settings, "-o", tmp_path / "model")
    assert code == 0, err
    assert load_model(tmp_path / "model").settings["reconstruction_settings"]["max_iterations"] == 7
    for wrong, message in (
        (
            "reconstruction_settings.max_iteration=2",
            "reconstruction_settings.max_iteration=2: reconstruction_settings.max_iteration: unknown key.",
        ),
        (
            "training_settings.log_every=2",
            "'training_settings' cannot be set here; known: data_handler_settings, recon",
        ),
    ):
        code, _, err = command("reconstruct", tmp_path / "model", "x.hdf5", "-o", tmp_path / "f.csv", "--set", wrong)
        assert code == 2 and message in err, err


def test_files_that_are_whole_make_an_ensemble_and_others_override(experiment, tmp_path):
    whole = experiment / "config.yaml"
    part = written(tmp_path, "part.yaml", "model_settings: {config: {sources: {cascade: cascade, noise: noise}}}\n")
    (one,) = load_members([whole, part])
    assert one == load_config(whole)
    both = load_members([whole, whole], ["training_settings.random_seed=5"])
    assert [member.training_settings.random_seed for member in both] == [5, 5]
    with pytest.raises(ConfigError, match=r"part.yaml: has no .*, but 2 other files are whole configurations"):
        load_members([whole, whole, part])

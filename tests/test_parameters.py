"""What hypothesis parameters are: declared by their sources, never guessed from names; columns of users are matched with them."""

import json
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from conftest import write_config
from matplotlib.axes import Axes
from zoo import ZOO, settings_of

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.experiment import create_trafo, experiment_trafo
from evgen_jax.building.model import build_source
from evgen_jax.building.parts import hypothesis_parameters
from evgen_jax.building.record import OWN
from evgen_jax.building.sources import SOURCES
from evgen_jax.config.reader import read_yaml
from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.tables import TableFile
from evgen_jax.errors import ConfigError, DataError, ReconstructionError
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.hypothesis.names import check_labels, misplaced, read_parameters
from evgen_jax.hypothesis.parameters import (
    check_parameters,
    column_names,
    direction_pairs,
    further_cascades,
    loss_parameters,
    parameters_of,
    places_by_role,
    standard_parameters,
)
from evgen_jax.hypothesis.roles import MANY, ROLES
from evgen_jax.hypothesis.trafo import fit_trafo, load_trafo
from evgen_jax.reconstruction.fit.capped_density import with_capped_density
from evgen_jax.reconstruction.fit.plausible import far_away
from evgen_jax.reconstruction.run.covariance_columns import covariance_units
from evgen_jax.reconstruction.run.seeds import make_seed_reader, seed_columns
from evgen_jax.reconstruction.run.table import columns
from evgen_jax.reconstruction.run.table_file import _units_of
from evgen_jax.reconstruction.starts.clusters import cluster_seed
from evgen_jax.reconstruction.starts.shape import Shape
from evgen_jax.reconstruction.starts.smear import smear
from evgen_jax.report.plots.display import event_display
from evgen_jax.simulation.draw import draw_hypotheses, parameter_ranges
from evgen_jax.simulation.record import check_record
from evgen_jax.simulation.simulate import simulate

CASCADE = standard_parameters(("x", "y", "z", "zenith", "azimuth", "energy", "time"))
TRACK = standard_parameters(("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth"))

HANDLER = DataHandlerSettings(data_settings={"pulse_key": "P", "event_id_key": "L"}, label_settings={"label_key": "L"})


def under(source, *groups):
    return tuple(parameter.under(source) for own in groups for parameter in own)


def test_a_parameter_has_the_facts_of_its_role_unless_others_are_given():
    depth = eg.Parameter("depth", role="z", low=-200.0, spread=3.0)
    assert (depth.unit, depth.low, depth.high, depth.draw, depth.spread, depth.log) == (
        "m",
        -200,
        500,
        "uniform",
        3,
        False,
    )
    nothing = eg.Parameter("energy_scale")
    assert (nothing.unit, nothing.low, nothing.high, nothing.spread, nothing.mean, nothing.std) == (
        "",
        None,
        None,
        0,
        0,
        1,
    )
    energy = eg.Parameter("e", "energy")
    assert energy.log and energy.draw == "log" and energy.unit == "GeV" and not replace(energy, log=False).log
    assert hash(depth) == hash(eg.Parameter("depth", role="z", low=-200.0, spread=3.0))
    with pytest.raises(FrozenInstanceError):
        depth.name = "x"
    below = depth.under("my_lamp").under("all")
    assert (below.name, below.group, below.own_name, below.role) == (
        "all_my_lamp_depth",
        ("all", "my_lamp"),
        "depth",
        "z",
    )
    names = ("all_my_lamp_depth", "my_lamp_depth", "depth", "lamp_depth", "all_depth", "h")
    assert [below.answers_to(name) for name in names] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"role": "zennith"}, "role 'zennith' is unknown; known: x, y, .*Did you mean 'zenith'"),
        ({"role": 3}, "the role 3 is unknown"),
        ({"draw": "logg"}, "draw: expected one of uniform, log, zenith, got 'logg'. Did you mean 'log'"),
        ({"low": 3.0, "high": 1.0}, r"expected low <= high, got \[3, 1\]"),
        ({"role": "x", "low": 600.0}, r"expected low <= high, got \[600, 500\]; the usual range of its role"),
    ],
)
def test_facts_that_cannot_be_are_told(fields, message):
    with pytest.raises(ConfigError, match=f"Parameter 'a': .*{message}|Parameter 'a': {message}"):
        eg.Parameter("a", **fields)
    with pytest.raises(ConfigError, match="expected a name, got ''"):
        eg.Parameter("")


@pytest.mark.parametrize("name", ZOO)
def test_every_source_says_what_its_parameters_are(name):
    """Declared roles are those that the names of the zoo tell; groups keep sources apart."""
    source = build_source(settings_of(name))[0]
    parameters = source.parameters
    assert tuple(parameter.name for parameter in parameters) == source.parameter_names
    assert [p.role for p in parameters] == [p.role for p in read_parameters(source.parameter_names)]
    assert all(p.role in ROLES for p in parameters)
    once = [(p.group, p.role) for p in parameters if p.role not in MANY]
    assert len(set(once)) == len(once) and hash(parameters) == hash(source.parameters)


def test_wrappers_and_models_hand_parameters_through(loaded_detector):
    model = analytic_model(loaded_detector)
    assert model.parameters == under("cascade", CASCADE) == with_capped_density(model).parameters
    assert eg.Ensemble([model, model]).parameters == model.parameters and "cascade_energy (GeV)" in repr(model)
    assert model.trafo.log == tuple(p.log for p in model.parameters)


def test_the_name_of_a_source_is_left_out_whatever_it_is():
    own = under("my_cascade", CASCADE)
    assert own[0].name == "my_cascade_x" and column_names(own) == tuple(p.name for p in CASCADE)
    two = own + under("cascade_x", CASCADE)
    assert column_names(two) == tuple(p.name for p in two)
    assert column_names(under("outer", own))[0] == "my_cascade_x"
    settings = ReconstructionSettings()
    model = SimpleNamespace(parameters=own, parameter_names=tuple(p.name for p in own))
    assert seed_columns(model.parameters, settings, HANDLER) == ("x", "y", "z", "zenith", "azimuth", "energy", "time")


def test_what_belongs_together_is_found_by_role_within_a_group():
    both = (*under("a", CASCADE), *under("my_b", CASCADE), *under("track", TRACK))
    assert places_by_role(both, ("x", "y", "z")) == [{"x": 0, "y": 1, "z": 2}, {"x": 7, "y": 8, "z": 9}]
    # Entry points first: the last direction is that of a particle.
    assert direction_pairs(both) == [(14, 15), (3, 4), (10, 11), (18, 19)]
    odd = (
        eg.Parameter("sky", "azimuth"),
        eg.Parameter("theta", "zenith"),
        eg.Parameter("max_x"),
        eg.Parameter("y", "y"),
    )
    assert direction_pairs(odd) == [(1, 0)] and places_by_role(odd, ("x", "y")) == []
    apart = (eg.Parameter("a_zenith", "zenith", group=("a",)), eg.Parameter("b_azimuth", "azimuth", group=("b",)))
    assert direction_pairs(apart) == []


def test_names_alone_tell_a_role_only_where_they_are_standard():
    own = standard_parameters(("max_x", "energy_scale", "x", "lifetime", "t", "Absorption", "my_Absorption"))
    assert [p.role for p in own] == [None, None, "x", None, "time", "Absorption", None]
    assert [p.unit for p in own] == ["", "", "m", "", "ns", "", ""]
    model = SimpleNamespace(parameters=own[:3], detector=SimpleNamespace(box=np.array([[-1.0] * 3, [1.0] * 3])))
    seeds = np.array([[[9e3, 9e3, 0.0]], [[0.0, 0.0, 9e3]]])
    assert far_away(model.parameters, model.detector, seeds)[:, 0].tolist() == [False, True]


def test_units_of_columns_are_those_of_the_parameters():
    own = (*under("my", standard_parameters(["energy_scale", "log_x", "x"])), eg.Parameter("w", "energy"))
    units = _units_of(own)
    assert units["my_energy_scale"] == units["my_energy_scale_unc"] == units["my_log_x_seed"] == ""
    assert units["my_x_true"] == "m" and units["w_unc_sandwich"] == "GeV"
    labels = ("my_energy_scale", "my_x", "log_w")
    own_units = covariance_units(labels, own)
    assert own_units["cov_my_energy_scale_my_x"] == "m" and own_units["cov_log_w_log_w"] == ""
    with pytest.raises(ReconstructionError, match="two columns x_seed: .*Rename the parameter"):
        columns(("x", "x_seed"))
    with pytest.raises(ReconstructionError, match="two columns status"):
        columns(("status",))


class Lantern(eg.LinenSource):
    """Shines from a place with names of its own; a scale and a largest coordinate that are neither energy nor place."""

    parameters = (
        eg.Parameter("depth", role="z", low=-90.0, high=90.0),
        eg.Parameter("when", role="time"),
        eg.Parameter("energy_scale", role="other", low=0.5, high=2.0),
        eg.Parameter("east", role="x", low=-60.0, high=60.0),
        eg.Parameter("north", role="y", low=-60.0, high=60.0),
        eg.Parameter("max_x", role="other", low=1.0, high=2.0),
        eg.Parameter("power", role="energy", low=1e3, high=1e4),
        eg.Parameter("theta", role="zenith"),
        eg.Parameter("phi", role="azimuth"),
    )

    def _light(self, hypothesis, detector):
        depth, when, scale, east, north, largest, power = hypothesis[:7]
        distance = jnp.linalg.norm(detector.position - jnp.stack([east, north, depth])[None], axis=-1)
        self.param("unused", lambda key: jnp.zeros(1))
        return 10 * power * scale * largest / (distance + 10.0) ** 2, when + distance / 0.22

    @eg.compact
    def __call__(self, hypothesis, event, detector, cumulative=False):
        charge, start = self._light(hypothesis, detector)
        dom = event.active[event.pulses.slot]
        since = (event.pulses.time - start[dom]) / 50.0
        density = jnp.where(since > 0, jnp.exp(-jnp.maximum(since, 0)), 0) / 50.0
        return eg.LightYield(charge, charge, 0 * charge, charge[dom] * density, None)

    @eg.compact
    def draw_times(self, key, hypothesis, event, detector, dom):
        return self._light(hypothesis, detector)[1][dom] + 50.0 * jax.random.exponential(key, dom.shape)


NAMES = tuple(p.name for p in Lantern.parameters)


@pytest.fixture
def lantern():
    """The source under its name, forgotten after a test."""
    before = [(table, dict(table)) for table in (SOURCES, OWN) if isinstance(table, dict)]
    eg.register_source("Lantern", Lantern)
    yield
    for table, content in before:
        table.clear()
        table.update(content)


def lantern_config(directory, detector, labels=NAMES, **handler):
    """An experiment with one lantern that is called my_lamp, and noise."""
    plain = read_yaml(write_config(directory, detector))
    bases = {"lamp": {"model_class": "Lantern"}, "noise": plain["model_settings"]["multi_source_bases"]["noise"]}
    plain["model_settings"] |= {
        "config": {"sources": {"my_lamp": "lamp", "noise": "noise"}},
        "multi_source_bases": bases,
    }
    plain["data_handler_settings"] |= {
        "label_module": "GeneralLabelModule",
        "label_settings": {"label_key": "LabelsMCCascade", "parameter_names": list(labels), "trafo_log": False},
    }
    plain["simulation_settings"] |= {
        "num_events": 8,
        "events_per_file": 8,
        "ranges": {"power": [2e3, 3e3], "x": [0.0, 50.0]},
    }
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(plain))
    return load_config(path)


def test_a_source_with_names_of_its_own_is_simulated_seeded_and_drawn(tmp_path, detector, lantern, monkeypatch):
    """Roles, not names, say what is drawn how, moved with the origin, seeded and smeared."""
    config = lantern_config(tmp_path, detector)
    parameters = hypothesis_parameters(config)
    assert parameters == under("my_lamp", Lantern.parameters)
    (file,) = simulate(config, tmp_path / "events")
    with h5py.File(file) as events:
        labels, seeds = events["LabelsMCCascade"][:], events["SmearedSeed"][:]
    assert set(NAMES) <= set(labels.dtype.names) and set(NAMES) <= set(seeds.dtype.names)
    assert np.all((labels["power"] >= 2e3) & (labels["power"] <= 3e3) & (labels["east"] >= 0) & (labels["east"] <= 50))
    assert np.all((labels["when"] >= 9000) & (labels["when"] <= 11000))
    np.testing.assert_array_equal(seeds["max_x"], labels["max_x"])  # not smeared: nothing is known of it
    assert np.all(seeds["east"] != labels["east"]) and np.all(seeds["power"] > 0)
    own = {"data_trafo_settings": config.data_trafo_settings.model_copy(update={"model_dir": str(tmp_path / "trafo")})}
    config = config.model_copy(update=own)
    iterators = config.data_iterator_settings
    trafo_files = iterators.trafo.model_copy(update={"input_data": [str(file)]})
    create_trafo(
        config.model_copy(update={"data_iterator_settings": iterators.model_copy(update={"trafo": trafo_files})})
    )
    assert experiment_trafo(config).parameter_names == tuple(p.name for p in parameters)

    source, _ = build_source(config.model_settings, experiment_trafo(config))
    loaded = jax.tree.map(jnp.asarray, eg.load_detector(tmp_path / "detector.csv"))
    model = eg.Model(source, source.init_variables(jax.random.key(0), loaded), experiment_trafo(config), loaded)
    shape = Shape(model, None)
    assert not shape.is_track and shape.place["x"] == 3 and shape.place["time"] == 1 and shape.place["energy"] == 6
    found, given = make_seed_reader(model, config.data_handler_settings, config.reconstruction_settings)(file)
    np.testing.assert_allclose(given[:, 0], np.stack([seeds[name] for name in NAMES], axis=1))
    truth = np.stack([labels[name] for name in NAMES], axis=1)
    seed = cluster_seed(model, found.event(0), base=truth[0])
    np.testing.assert_array_equal(seed[[2, 5]], truth[0, [2, 5]])
    assert np.linalg.norm(seed[[3, 4, 0]] - truth[0, [3, 4, 0]]) < 120 and seed[6] != truth[0, 6]
    smeared = smear(truth[:1, None], model.parameters, 50, np.random.default_rng(0))[0, 1:]
    assert np.ptp(smeared, axis=0).astype(bool).tolist() == [True, True, False, True, True, False, True, True, True]
    prior = {
        "my_lamp_theta": {"distribution": "isotropic"},
        "my_lamp_phi": {"distribution": "uniform", "low": 0, "high": 6},
    }
    assert (
        np.isfinite(float(make_prior(model.parameters, prior)(truth[0])))
        and prior_limits(model.parameters, prior) == {}
    )
    arrows = []
    monkeypatch.setattr(Axes, "annotate", lambda axis, text, xy, xytext, **how: arrows.append(xytext))
    event_display(model, found.event(0), truth[0])
    np.testing.assert_allclose(arrows, [truth[0, [3, 4]], truth[0, [3, 0]], truth[0, [4, 0]]])
    assert "my_lamp_depth (m)" in repr(model) and "my_lamp_max_x," in repr(model)


def test_coordinates_and_times_of_such_labels_are_moved_by_their_roles(tmp_path, detector, lantern):
    """What is far from 0 is counted from an origin, or from the begin of the readout: names tell neither here."""
    config = lantern_config(tmp_path, detector)
    (file,) = simulate(config, tmp_path / "events")
    moved = replace(detector, origin=(1000.0, 2000.0, 3000.0))
    with h5py.File(file, "r+") as events:
        for table, name, by in (
            ("ReadoutWindow", "start", 1e9),
            ("ReadoutWindow", "stop", 1e9),
            ("MCPulses", "time", 1e9),
            ("LabelsMCCascade", "when", 1e9),
        ):
            rows = events[table][:]
            rows[name] += by
            events[table][...] = rows
        labels = events["LabelsMCCascade"][:]
        for key in list(events.attrs):  # the file does not say which detector it was made for
            del events.attrs[key]
    handler, parameters = config.data_handler_settings, hypothesis_parameters(config)
    read = read_event_file(file, handler, moved, parameters=parameters)
    np.testing.assert_allclose(
        read.labels[:, [3, 4, 0]],
        np.stack([labels["east"] - 1000, labels["north"] - 2000, labels["depth"] - 3000], axis=1),
    )
    np.testing.assert_allclose(read.relative_labels()[:, 1], labels["when"] - 1e9)
    np.testing.assert_array_equal(read.labels[:, 5], labels["max_x"])
    with pytest.raises(DataError, match="names of the labels do not tell which of them are times"):
        read_event_file(file, handler, moved).relative_labels()


SMALL = under("cascade", CASCADE)


@pytest.mark.parametrize(
    "labels, parameters, expected",
    [
        # Names that tell: by role, by the name alone, by the number.
        (("cascade_y", "cascade_x", *[p.name for p in SMALL[2:]]), SMALL, [(0, 1), (1, 0)]),
        (("mc_y", "mc_x", "mc_z", "mc_zenith", "mc_azimuth", "mc_energy", "mc_t"), SMALL, [(0, 1), (1, 0)]),
        (("x", "y", "z", "azimuth", "zenith", "E", "when"), SMALL, [(3, 4), (4, 3)]),
        (("width", "height"), standard_parameters(("height", "width")), [(0, 1), (1, 0)]),
        (("lamp_width", "lamp_height"), under("a", standard_parameters(("height", "width"))), [(0, 1), (1, 0)]),
        (("Scattering", "Absorption"), standard_parameters(("Absorption", "Scattering")), [(0, 1), (1, 0)]),
        (("b_x", "a_x"), (*under("a", CASCADE[:1]), *under("b", CASCADE[:1])), [(0, 1), (1, 0)]),
        (("energy_loss_0001", "energy_loss_0000"), under("t", loss_parameters(2)), [(1, 0)]),
        (
            ("zenith", "azimuth", "entry_t", "entry_energy", "entry_zenith", "entry_azimuth"),
            TRACK,
            [(0, 4), (1, 5), (4, 0), (5, 1)],
        ),
        (("energy",), standard_parameters(("length",)), [(0, 0)]),
        (("x", "max_x"), under("my", standard_parameters(("max_x", "x"))), [(0, 1), (1, 0)]),
        (("cascade_x", "cascade_x"), CASCADE[:2], [(1, 0)]),
        # Names that fit, and names that tell nothing: position counts.
        (
            ("cascade_x", "cascade_y", "cascade_z", "cascade_zenith", "cascade_azimuth", "cascade_energy", "cascade_t"),
            SMALL,
            [],
        ),
        (("a", "b", "c", "d", "e", "f", "g"), SMALL, []),
        (("x", "y", "z", "zenith", "azimuth", "E", "t0"), SMALL, []),
        (("first_x", "second_x"), (*under("a", CASCADE[:1]), *under("b", CASCADE[:1])), []),
        (("x", "x"), (*under("a", CASCADE[:1]), *under("b", CASCADE[:1])), []),
        (("loss_1", "loss_0"), loss_parameters(2), []),
        (("energy_loss_7", "energy_loss_8"), loss_parameters(2), []),
        (("cascade_00000_energy", "cascade_00001_energy"), further_cascades(1, 3)[::2], []),
        (("entry_zenith", "entry_azimuth", "time", "energy", "zenith", "azimuth"), TRACK, []),
        (("max_x", "x"), standard_parameters(("max_x", "x")), []),
        (("E_t", "time"), standard_parameters(("energy", "time")), []),
        (("p_x",), standard_parameters(("energy",)), []),
        (("mc_max_x", "mc_x"), under("my", (eg.Parameter("max_x", "other"), eg.Parameter("x", "x"))), []),
        (("HoleIceForward_Unified_00",), standard_parameters(("HoleIceForward_Unified_p0",)), []),
    ],
)
def test_labels_are_matched_by_role_and_name(labels, parameters, expected):
    assert misplaced(labels, parameters) == expected
    if not expected:
        check_labels(labels, parameters, "labels", ConfigError)
        return
    with pytest.raises(ConfigError, match="labels: the label") as caught:
        check_labels(labels, parameters, "labels", ConfigError)
    i, j = expected[0]
    assert f"'{labels[i]}'" in str(caught.value) and f"'{parameters[j].name}'" in str(caught.value)
    assert ("are swapped" in str(caught.value)) == ((j, i) in expected and i != j) and "\n" not in str(caught.value)


def test_swapped_labels_do_not_train(experiment, tmp_path, command):
    plain = read_yaml(experiment / "config.yaml")
    names = ["cascade_x", "cascade_z", "cascade_y", "cascade_zenith", "cascade_azimuth", "cascade_energy", "cascade_t"]
    plain["data_handler_settings"] |= {"label_module": "GeneralLabelModule"}
    plain["data_handler_settings"]["label_settings"] |= {"parameter_names": names}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(plain))
    for arguments in (("create-trafo", path), ("train", path), ("simulate", path, "-o", tmp_path / "events")):
        code, _, err = command(*arguments)
        assert code == 2 and err.splitlines()[-1].startswith(
            f"error: {path}: data_handler_settings.label_settings: the labels "
            "'cascade_z' and 'cascade_y' are swapped: they stand for the "
            "parameters 'cascade_y' and 'cascade_z'."
        )
    assert not (tmp_path / "events").exists()
    names[1:3] = ["cascade_y", "cascade_z"]
    path.write_text(yaml.safe_dump(plain))
    assert len(hypothesis_parameters(load_config(path))) == 7


def test_swapped_seeds_are_refused(loaded_detector):
    model = analytic_model(loaded_detector)
    columns_ = ["x", "y", "z", "azimuth", "zenith", "energy", "time"]
    with pytest.raises(
        ReconstructionError, match="seed_parameter_names: the columns 'azimuth' and 'zenith' are swapped"
    ):
        seed_columns(model.parameters, ReconstructionSettings(seed_parameter_names=columns_), HANDLER)
    swapped = list(model.parameter_names)
    swapped[3], swapped[4] = swapped[4], swapped[3]
    labels = {"label_key": "L", "parameter_names": swapped}
    handler = DataHandlerSettings(
        data_settings={"pulse_key": "P", "event_id_key": "L"}, label_module="GeneralLabelModule", label_settings=labels
    )
    for settings in ({"seed": "x_parameters"}, {"seed": "pulses", "column_names": "reference"}):
        with pytest.raises(ReconstructionError, match="labels 'cascade_azimuth' and 'cascade_zenith' are swapped"):
            make_seed_reader(model, handler, ReconstructionSettings(**settings))
    make_seed_reader(model, handler, ReconstructionSettings(seed="pulses"))  # takes no label
    # Something else in place of a parameter is the user's choice.
    other = ["x", "y", "z", "zenith", "azimuth", "length", "time"]
    assert seed_columns(model.parameters, ReconstructionSettings(seed_parameter_names=other), HANDLER) == tuple(other)


def test_the_time_is_read_under_either_name(experiment, loaded_detector, tmp_path):
    """Label tables of IceCube have cascade_t; ours have the name of the parameter."""
    path = experiment / "events" / "small_000000.hdf5"
    config = load_config(experiment / "config.yaml")
    here = read_event_file(path, config.data_handler_settings, loaded_detector)
    old = tmp_path / "old.hdf5"
    old.write_bytes(path.read_bytes())
    with h5py.File(old, "r+") as file:
        rows = file["LabelsMCCascade"][:]
        assert "cascade_time" in rows.dtype.names and "cascade_t" not in rows.dtype.names
        rows.dtype.names = tuple("cascade_t" if n == "cascade_time" else n for n in rows.dtype.names)
        attributes = dict(file["LabelsMCCascade"].attrs)
        del file["LabelsMCCascade"]
        file["LabelsMCCascade"] = rows
        for key, value in attributes.items():
            file["LabelsMCCascade"].attrs[key] = value
    there = read_event_file(old, config.data_handler_settings, loaded_detector)
    np.testing.assert_array_equal(there.labels, here.labels)
    assert here.times == there.times == (6,)
    with TableFile(old) as file:
        ids = EventIds(file, "LabelsMCCascade")
        np.testing.assert_array_equal(ids.align("LabelsMCCascade", ["cascade_time"]), here.labels[:, 6:])
        with pytest.raises(DataError, match="has no column 'cascade_tine'; .*"):
            ids.align("LabelsMCCascade", ["cascade_tine"])


def test_simulations_of_an_earlier_version_go_on(tmp_path):
    """Their record names the old column of the time."""
    (tmp_path / "a_000000.hdf5").touch()
    record = {
        "num_events": 20,
        "events_per_file": 20,
        "tables": {"label_key": "L", "labels": ["cascade_x", "cascade_t"]},
    }
    (tmp_path / "a.simulation.json").write_text(json.dumps(record))
    now = record | {"tables": {"label_key": "L", "labels": ["cascade_x", "cascade_time"]}}
    check_record(tmp_path, "a", now)
    with pytest.raises(DataError, match="labels: "):
        check_record(tmp_path, "a", now | {"tables": {"label_key": "L", "labels": ["cascade_time", "cascade_x"]}})


def test_an_old_transformation_serves_any_source_name(tmp_path):
    """Files hold names without roles: those of the model alone, or with another prefix."""
    own = under("my_cascade", CASCADE)
    rows = np.random.default_rng(0).uniform(1, 2, (9, 7))
    fit_trafo([rows], [p.name for p in CASCADE], [False] * 7).save(tmp_path / "trafo.json")
    found = load_trafo(tmp_path / "trafo.json", tuple(p.name for p in own))
    assert found.parameter_names[0] == "my_cascade_x" and found.mean[6] == pytest.approx(rows[:, 6].mean())


class _Own(eg.LinenSource):
    def __call__(self, hypothesis, event, detector, cumulative=False):
        raise NotImplementedError


def test_declarations_that_are_none_are_told():
    class Strings(_Own):
        parameters = ("x", "y")

    class Both(_Own):
        parameters = (eg.Parameter("x", "x"),)
        parameter_names = ("y",)

    class Twice(_Own):
        parameters = (eg.Parameter("a", "x"), eg.Parameter("b", "x"))

    class Same(_Own):
        parameters = (eg.Parameter("a", "other"), eg.Parameter("a", "other"))

    class Apart(_Own):
        parameters = (eg.Parameter("a", "x", group=("first",)), eg.Parameter("b", "x", group=("second",)))

    class Nothing(_Own):
        pass

    for source, message in (
        (Strings, "Strings.parameters: expected a tuple of Parameter records, got"),
        (Both, "Both: its parameter_names are y, the names of its parameters x"),
        (Twice, "m: the parameters 'a' and 'b' both have the role 'x'"),
        (Same, "m: two parameters of the hypothesis have the name a"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_parameters(source(), "m")
    check_parameters(Apart(), "m")
    with pytest.raises(NotImplementedError, match="declares neither parameters nor parameter_names"):
        parameters_of(Nothing())
    for call in (
        lambda: make_prior(("x",), {}),
        lambda: prior_limits(("x",), {}),
        lambda: parameter_ranges(("x",), {}),
        lambda: draw_hypotheses(np.random.default_rng(0), ("x",), np.zeros((1, 2)), 1),
    ):
        with pytest.raises(ConfigError, match=r"expected the parameters .* as Parameter records, got \('x',\)"):
            call()


def test_ranges_go_to_the_parameters_that_they_name():
    own = (*under("my_a", CASCADE), *under("b", CASCADE), eg.Parameter("max_x", "other", low=0.0, high=1.0))
    given = {"x": (1.0, 2.0), "b_x": (3.0, 4.0), "energy": (5.0, 6.0), "t": (7.0, 8.0), "my_a_y": (9.0, 10.0)}
    ranges = parameter_ranges(own, given)
    assert ranges[[0, 7, 14], 0].tolist() == [1, 3, 0] and ranges[[5, 12], 0].tolist() == [5, 5]
    assert ranges[[6, 13], 0].tolist() == [7, 7] and ranges[[1, 8], 0].tolist() == [9, -500]
    with pytest.raises(ConfigError, match="ranges.a_y: is no parameter"):
        parameter_ranges(own, {"a_y": (1.0, 2.0)})

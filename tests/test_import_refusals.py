"""What cannot be imported: one message that names the file, and nothing is written."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_export as theirs

from evgen_jax.importing.event_generator import import_model


def both() -> dict:
    return theirs.independent({"cascade": theirs.cascade(), "noise": theirs.noise()})


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    """An export of a cascade with noise."""
    return theirs.export(tmp_path_factory.mktemp("theirs") / "export", both())


def change(name: str, content: bytes | str | None):
    """Replaces a file of an export, or takes it away."""

    def apply(directory: Path) -> None:
        path = directory / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return apply


def instead(name: str, old: str, new: str):
    """Replaces a text in a file of an export."""

    def apply(directory: Path) -> None:
        text = (directory / name).read_text()
        assert old in text, f"{old} is not in {name}"
        (directory / name).write_text(text.replace(old, new))

    return apply


CASCADE, NOISE = "models_0000/cascade", "models_0000/noise"
CODE = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
WRONG = {
    "no export": (
        change("configuration.yaml", None),
        "is no export of Event-Generator (configuration.yaml is missing)",
    ),
    "something else": (
        change("configuration.yaml", "a: 1\n"),
        "does not describe a component of Event-Generator: class_string: is missing",
    ),
    "no YAML": (change("configuration.yaml", "a: [1\n"), "configuration.yaml: line 2: no valid YAML"),
    "version": (
        instead("configuration.yaml", "event_generator_version: 2.0.0-dev", "event_generator_version: 1.0.3"),
        "was written by Event-Generator 1.0.3; the files of version 2 are read",
    ),
    "version of a part": (
        instead(f"{NOISE}/configuration.yaml", "event_generator_version: 2.0.0-dev", "event_generator_version: 3.1.0"),
        f"{NOISE}/configuration.yaml: was written by Event-Generator 3.1.0",
    ),
    "other part": (
        instead(f"{CASCADE}/configuration.yaml", "shift_cascade_vertex: true", "shift_cascade_vertex: false"),
        "cascade: is not the part that",
    ),
    "way out": (
        instead(
            "models_0000/configuration.yaml",
            "dependent_sub_components:\n- cascade",
            "dependent_sub_components:\n- ../x",
        ),
        "dependent_sub_components.0: got '../x'; ",
    ),
    "missing part": (lambda d: shutil.rmtree(d / NOISE), f"{NOISE}: does not exist"),
    "no weights": (
        change(f"{CASCADE}/model_checkpoint.yaml", None),
        "model_checkpoint.yaml: is missing: DefaultCascadeModel has no",
    ),
    "no such checkpoint": (
        instead(f"{CASCADE}/model_checkpoint.yaml", "latest_checkpoint: 2", "latest_checkpoint: 5"),
        "latest_checkpoint is 5, but it lists 2, 1",
    ),
    "older checkpoint": (
        instead(f"{CASCADE}/model_checkpoint.yaml", "latest_checkpoint: 2", "latest_checkpoint: 1"),
        "model_checkpoint_00000001.index: is missing",
    ),
    "lost data": (
        change(f"{CASCADE}/model_checkpoint_00000002.data-00000-of-00001", None),
        "is missing. Copy the whole",
    ),
    "code": (
        change(f"{CASCADE}/data_trafo/data.pickle", CODE),
        "data_trafo/data.pickle: asks for posix.system, which is neither",
    ),
    "code in a model": (
        change(f"{CASCADE}/data.pickle", CODE),
        "cascade/data.pickle: asks for posix.system, which is neither",
    ),
    "code above": (change("data.pickle", CODE), "export/data.pickle: asks for posix.system"),
    "data of its own": (
        change(f"{NOISE}/decoder_charge/data.pickle", b"\x80\x02}X\x01\x00\x00\x00aK\x01s."),
        "decoder_charge/data.pickle: holds data of its own ({'a': 1}), which a MixtureModel of Event-Generator has not",
    ),
    "other pickle": (
        change(f"{CASCADE}/data_trafo/data.pickle", b"\x80\x02}."),
        "holds no normalisation of hypotheses",
    ),
    "no pickle": (change(f"{CASCADE}/data_trafo/data.pickle", b"\x89HDF"), "data.pickle: is damaged or no pickle"),
    "other normalisation": (
        change(f"{CASCADE}/data_trafo/data.pickle", theirs.transformation([0.0] * 7, theirs.STD, theirs.LOG)),
        "its average mean is 0, that of",
    ),
    "no settings": (change("reco_config.yaml", None), "no reco_config.yaml there or above"),
    "no loss": (change("reco_config.yaml", "unique_name: a\n"), "reco_config.yaml: has no loss_module_settings"),
    "other loss": (
        instead("reco_config.yaml", "dom_charge_pdf", "dom_charge_pfd"),
        "reco_config.yaml: loss_module_settings.config.loss_function_name",
    ),
    "setting of fits": (instead("reco_config.yaml", "seed: Smeared", "seeed: Smeared"), "Did you mean 'seed'?"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_and_nothing_is_written(name, export, tmp_path, command):
    apply, message = WRONG[name]
    directory = shutil.copytree(export, tmp_path / "export")
    apply(directory)
    code, out, err = command("import", directory, "-o", tmp_path / "out")
    assert code == 2 and out == "" and err.startswith("error: ") and message in err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export"]


def of_class(own: dict, kind: str) -> dict:
    return own | {"kind": kind}


MODULE = "egenerator.model.source.cascade"
OTHERS = {
    "unknown class": (
        of_class(theirs.cascade(), f"{MODULE}.default.DefaultCascadModel"),
        "Did you mean 'DefaultCascadeModel'?",
    ),
    "class that we lack": (
        of_class(theirs.cascade(), f"{MODULE}.dummy.DummyCascadeModel"),
        "is not read: it is no light",
    ),
    "class of ours": (
        of_class(theirs.cascade(), "AnalyticCascadeModel"),
        "the source AnalyticCascadeModel is not read",
    ),
    "track with cascades": (
        of_class(theirs.cascade(), "egenerator.model.source.track.EnteringSphereInfTrackMultiCascade"),
        "is not read: its cascades see other inputs",
    ),
    "precision": (
        theirs.cascade(float_precision="float64"),
        "float_precision: got 'float64'; models of float32 are read",
    ),
    "dropout": (
        theirs.cascade(use_dropout_list=[True, False, False], keep_prob=0.9),
        "use_dropout_list: weights of a training",
    ),
    "batch normalisation": (theirs.cascade(use_batch_norm_list=True), "use_batch_norm_list: is not supported"),
    "unknown option": (theirs.cascade(add_opening_angel=True), "add_opening_angel: unknown key"),
    "other widths": (theirs.cascade(num_filters_list=[3, 5, 10]), "model/3 (layer_01_bias) (4,)"),
    "other inputs": (theirs.cascade(add_dom_coordinates=True), "- model/1 (layer_00_kernel) (86, 60, 17, 3)"),
    "too few layers": (
        theirs.cascade() | {"arrays": theirs.cascade()["arrays"][:6]},
        "- model/7 (layer_02_kernel) (1, 1, 4, 10)",
    ),
    "weights of a sum": (
        both() | {"arrays": [np.ones(3, np.float32)]},
        "a IndependentMultiSource has no weights of its own",
    ),
    "not finite": (
        theirs.noise() | {"arrays": [np.full(9, np.nan, np.float32)]},
        "weights that are not finite, of a training that diverged: local_vars",
    ),
    "trained decoder": (
        theirs.cascade()
        | {"parts": theirs.cascade()["parts"] | {"decoder": theirs.asymmetric_gaussian() | {"arrays": [np.ones(2)]}}},
        "decoder: has weights of its own (model/0)",
    ),
    "unknown decoder": (
        theirs.cascade()
        | {"parts": theirs.cascade()["parts"] | {"decoder": of_class(theirs.asymmetric_gaussian(), "a.FlowDecoder")}},
        "the decoder a.FlowDecoder is not read. Known: AsymmetricGaussianDecoder",
    ),
    "no normalisation": (
        theirs.cascade() | {"parts": {k: v for k, v in theirs.cascade()["parts"].items() if k != "data_trafo"}},
        "has no data_trafo, the normalisation of x, y, z",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_models_that_are_not_read_are_told(name, tmp_path, command):
    own, message = OTHERS[name]
    directory = theirs.export(tmp_path / "export", own)
    code, out, err = command("import", directory, "-o", tmp_path / "out")
    assert code == 2 and out == "" and message in err and str(directory) in err and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export"]


def test_other_directories_are_told(export, tmp_path, command):
    imported = import_model(export / NOISE).save(tmp_path / "ours")
    (tmp_path / "file").write_text("")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    for directory, message in (
        (imported, "is a model of evgen_jax already"),
        (tmp_path / "file", "is a file; expected the directory of a model that Event-Generator exported"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / "saved", "is a SavedModel of TensorFlow"),
        (tmp_path, "is no export of Event-Generator"),
        (export / CASCADE / "data_trafo", "the model egenerator.data.trafo.DataTransformer is not read"),
    ):
        code, _, err = command("import", directory, "-o", tmp_path / "out")
        assert code == 2 and err.startswith(f"error: {directory}") and message in err
    code, _, err = command("import", export, "-o", imported)
    assert code == 2 and f"{imported}: exists already" in err
    code, _, err = command("import", export)
    assert code == 2 and "'-o'" in err

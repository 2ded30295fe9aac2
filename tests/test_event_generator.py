"""Event-Generator's twelve configurations load and build as they are, after changing data paths alone."""

import logging
from pathlib import Path

import event_generator
import pytest

from evgen_jax.analytic_model import analytic_counterpart
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.labels import label_log_flags, label_names
from evgen_jax.detector import load_detector
from evgen_jax.model import Model
from evgen_jax.parameters import kind_of
from evgen_jax.trafo import Trafo
from evgen_jax.training.optimizer import build_optimizer

BASES = {  # what the load_dir entries name
    "big": "cascade_7param_noise_ftpv3m__big", "tiny": "cascade_7param_noise_ftpv3m__tiny",
    "track": "track_sphere_6param_ftpv3m",
}  # fmt: skip


def config_of(name: str, directory: Path):
    path = directory / f"{name}.yaml"
    path.write_text(event_generator.text(name).replace("DATA", str(directory)))
    return load_config(path)


def trafo_for(names) -> Trafo:
    facts = [kind_of(name)[1] for name in names]
    return Trafo(tuple(names), *(tuple(getattr(f, k) for f in facts) for k in ("mean", "std", "log")))


@pytest.fixture
def load(tmp_path):
    """Stands for exported models: the sources are there, their weights are not needed to build others."""

    def model(directory: str) -> Model:
        name, *part = Path(directory).relative_to(tmp_path / "models").parts
        settings = config_of(BASES[name], tmp_path).model_settings
        source, _ = build_source(settings, trafo_for(build_source(settings)[0].parameter_names))
        plain = settings.model_dump(mode="json")
        for key in part:
            source, plain = dict(source.bases)[key], plain["multi_source_bases"][key]
        return Model(
            source, {"from": directory}, Trafo((), (), (), ()), load_detector(), settings={"model_settings": plain}
        )

    return model


@pytest.mark.parametrize("name", event_generator.CONFIGURATIONS)
def test_it_loads_and_builds(name, tmp_path, load, caplog):
    config = config_of(name, tmp_path)
    *_, count = event_generator.CONFIGURATIONS[name]
    names = build_source(config.model_settings, None, load)[0].parameter_names
    assert len(names) == count == len(label_names(config.data_handler_settings))
    log = label_log_flags(config.data_handler_settings)
    assert len(log) == count
    # Energies are taken as logarithms, nothing else.
    assert [("energy" in n) for n in names] == list(log)
    source, loaded = build_source(config.model_settings, trafo_for(names), load)
    assert source.parameter_names == names
    assert (loaded is not None) == ("load_dir" in event_generator.text(name))
    build_loss(config.loss_module_settings)
    _, rate = build_optimizer(config.training_settings)
    assert float(rate(1000)) == pytest.approx(1e-3) and config.model_manager_settings.config.manager_dir.endswith(name)

    def settings_of(directory: str) -> ModelSettings:
        return ModelSettings.model_validate(load(directory).settings["model_settings"])

    other = build_source(analytic_counterpart(config.model_settings, settings_of))[0]
    assert other.parameter_names == names  # every one of them can be simulated
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert all("num_cascades: not needed" in line for line in said)

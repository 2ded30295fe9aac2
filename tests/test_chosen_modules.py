"""Steps of chosen modules (experiments/chosen_modules.py) have in the mean the loss of whole events."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import evgen_jax as eg
from evgen_jax.building.experiment import build_model
from evgen_jax.config.validate import load_config
from evgen_jax.data.event_file import read_event_file
from evgen_jax.training.step import init_state, make_loss_terms

PATH = Path(__file__).parent.parent / "experiments" / "chosen_modules.py"


@pytest.fixture(scope="module")
def chosen_modules():
    spec = importlib.util.spec_from_file_location("chosen_modules", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_drawn_modules_stand_for_the_rest(experiment, chosen_modules):
    shared = "model_settings.multi_source_bases.cascade.config.method_list=convolution"
    config = load_config(experiment / "config.yaml", [shared])
    model = build_model(config)
    path = experiment / "events" / f"{config.unique_name}_000000.hdf5"
    file = read_event_file(path, config.data_handler_settings, model.detector, parameters=model.parameters)
    events = [file.event(i) for i in range(2)]
    labels = np.asarray(file.labels)[:2].astype(np.float32)
    batch = eg.stack_events(events, factor=4)
    whole = float(np.mean(jax.jit(make_loss_terms(model))(model.variables, batch, labels)["loss"]))
    optimizer = optax.sgd(0.0)
    step = jax.jit(chosen_modules.make_chosen_step(model, optimizer))
    state = init_state(model.variables, optimizer)

    def losses(count: int, draws: int) -> list[float]:
        stream = chosen_modules.chosen_batches(((batch, labels) for _ in range(draws)), model.detector, count)
        return [float(step(state, chosen)[1]) for chosen in stream]

    # All modules: nothing is drawn.
    assert losses(model.detector.num_doms, 1) == [pytest.approx(whole, rel=1e-5)]
    lit = max(int(np.sum(np.asarray(event.active) < model.detector.num_doms)) for event in events)
    found = losses(int(np.ceil((lit + 1) / chosen_modules.SURE)), 60)
    assert np.std(found) > 0
    assert np.mean(found) == pytest.approx(whole, abs=4 * np.std(found) / np.sqrt(len(found)) + 1e-4 * abs(whole))
    with pytest.raises(ValueError, match="lit modules, which do not fit"):
        losses(4, 1)

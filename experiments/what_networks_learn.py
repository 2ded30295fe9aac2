"""What inputs, start of layers, corrections and steps are worth: learned sources trained on one set of simulated events.

python experiments/what_networks_learn.py CONFIG [VARIANT ...] [--seconds 60] [--part cascade] [--set key=value ...]

CONFIG is like `evgen_jax/tables/demo.yaml`, its events simulated before. A variant is NAME:KEY=VALUE;KEY=VALUE with keys of the
part's `config` (a key that begins with / counts from the top of the configuration), for example
'plain:inputs=[invariant];layer_start=event_generator'. Of the step: `rate=3e-3` is the largest learning rate (linear warm-up, cosine
decay over the time that is given), `batch=2` the events, `optimizer=muon` a name of optax or optax.contrib, `clip=100` the largest norm
of a gradient (`clip=history`: twice the running mean of its logarithm, clip=none), `average=0.99` the decay of a moving average of weights, which is
what is measured then, `modules=1024` those that a step sees of each event (`chosen_modules.py`). --true-detector is the table of
the detector in which the events were simulated, where CONFIG's differs from it. Prints at growing times of the process (CPU seconds) by how much the
log-likelihood per event of held-out events stays behind the true one, in charges and in times, and the scatter of
ln(expected charge / true one) of modules with over 0.3 photoelectrons at the energy of the event.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from chosen_modules import chosen_batches, make_chosen_step

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.building.experiment import build_model, iterator
from evgen_jax.building.parts import load_part
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import find_files
from evgen_jax.data.event_file import read_event_file
from evgen_jax.training.clipping import clip_by_history
from evgen_jax.training.step import init_state, make_loss_terms, make_train_step

FEWEST = 0.3
"""Expected photoelectrons of modules whose charges are compared."""
WARM_UP = 50
"""Steps in which the learning rate grows."""


class Held:
    """Held-out events, and what the true likelihood says of them."""

    def __init__(self, config, model: eg.Model, count: int, detector: eg.Detector):
        events, labels = events_of(config, model, "test")
        self.events = eg.stack_events(events[:count], factor=4)
        self.labels = labels[:count].astype(np.float32)
        truth = analytic_model(detector, analytic_counterpart(config.model_settings, settings_of))
        self.terms, self.charges = self.measured(truth.replace(loss=model.loss))(truth.variables)
        self.lit = self.charges > FEWEST

    def measured(self, model: eg.Model):
        """Makes a function of weights: mean loss per event of each term, and expected charges [E, D]."""

        def one(variables, pair):
            return model.source.light_yield(variables, *pair, model.detector, False).charge_full

        terms = jax.jit(make_loss_terms(model))
        charges = jax.jit(lambda v, pairs: jax.lax.map(lambda pair: one(v, pair), pairs))

        def measure(variables) -> tuple[dict[str, float], np.ndarray]:
            found = terms(variables, self.events, self.labels)
            means = {name: float(np.mean(values)) for name, values in found.items()}
            return means, np.asarray(charges(variables, (self.labels, self.events)))

        return measure

    def report(self, measured: tuple[dict[str, float], np.ndarray]) -> str:
        """Gap and scatter of what a function of `measured` returned."""
        gaps = {name: value - self.terms[name] for name, value in measured[0].items()}
        ratio = np.log(measured[1][self.lit] / self.charges[self.lit])
        parts = ", ".join(f"{name} {gap:.1f}" for name, gap in gaps.items() if name != "loss")
        return f"gap {gaps['loss']:.1f} ({parts}); charges {100 * ratio.std():.1f} %, mean {100 * ratio.mean():+.1f} %"


def settings_of(path: str):
    return load_part(path).settings["model_settings"]


def events_of(config, model: eg.Model, name: str) -> tuple[list[eg.Event], np.ndarray]:
    """Events and labels of an iterator."""
    events, labels = [], []
    for path in find_files(iterator(config, name).input_data):
        file = read_event_file(path, config.data_handler_settings, model.detector, parameters=model.parameters)
        events += [file.event(i) for i in range(len(file))]
        labels.append(np.asarray(file.labels))
    return events, np.concatenate(labels)


def batches(events: list[eg.Event], labels: np.ndarray, size: int) -> tuple[list, Iterator]:
    """One batch of every shape, and endless batches of events of similar size, so that little is padded."""
    order = np.argsort([len(event.pulses.charge) for event in events])
    groups = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    ready = [(eg.stack_events([events[i] for i in own], factor=4), labels[own].astype(np.float32)) for own in groups]
    shapes = {tuple(leaf.shape for leaf in jax.tree.leaves(batch)): batch for batch in ready}
    rng = np.random.default_rng(0)

    def endless() -> Iterator:
        while True:
            for number in rng.permutation(len(ready)):
                yield ready[number]

    return list(shapes.values()), endless()


def step_of(optimizer: str, clip: str, rate: float) -> optax.GradientTransformation:
    """An optimiser behind its clipping, with a learning rate that can be set."""
    make = getattr(optax, optimizer, None) or getattr(optax.contrib, optimizer)
    clips = {"history": clip_by_history(2.0), "none": optax.identity()}
    limit = clips[clip] if clip in clips else optax.clip_by_global_norm(float(clip))
    return optax.inject_hyperparams(lambda learning_rate: optax.chain(limit, make(learning_rate)))(learning_rate=rate)


def train(
    name: str,
    model: eg.Model,
    held: Held,
    data,
    *,
    rate: float,
    seconds: float,
    size: int,
    clip: str,
    optimizer: str,
    average: float,
    modules: int,
) -> eg.Model:
    """Trains one variant for some seconds of the process, compilation apart."""
    optimizer = step_of(optimizer, clip, rate)
    mean, mix = (
        model.variables,
        jax.jit(lambda old, new: jax.tree.map(lambda a, b: average * a + (1 - average) * b, old, new)),
    )
    state = init_state(model.variables, optimizer)
    shapes, stream = batches(*data, size)
    if modules:
        step = jax.jit(make_chosen_step(model, optimizer))
        shapes, stream = (
            ((part,) for part in chosen_batches(batch, model.detector, modules)) for batch in (iter(shapes), stream)
        )
    else:
        step = jax.jit(make_train_step(model, optimizer))
    for batch in shapes:
        jax.block_until_ready(step(state, *batch))
    measure, spent, number, due = held.measured(model), 0.0, 0, seconds / 8
    while spent < seconds:
        begin = time.process_time()
        now = rate * min(1.0, (number + 1) / WARM_UP) * max(0.5 * (1 + np.cos(np.pi * spent / seconds)), 1e-3)
        state.optimizer_state.hyperparams["learning_rate"] = jnp.asarray(now, jnp.float32)
        state, _ = step(state, *next(stream))
        mean = mix(mean, state.variables) if average and number else state.variables
        jax.block_until_ready(state.step)
        number, spent = number + 1, spent + time.process_time() - begin
        if spent > due:
            print(
                f"{name}: {spent:.0f} s, step {number}: {held.report(measure(mean))}",
                flush=True,
            )
            due *= 2
    print(f"{name}: {1e3 * spent / number:.0f} ms per step of {size} events", flush=True)
    return model.with_variables(mean)


def main() -> None:
    """Trains each variant for the time given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("variants", nargs="*", default=["as configured:"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--clip", default="1000")
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--average", type=float, default=0.0)
    parser.add_argument("--test", type=int, default=64)
    parser.add_argument("--part", default="cascade")
    parser.add_argument("--modules", type=int, default=0)
    parser.add_argument("--true-detector", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    held = data = None
    for text in given.variants:
        name, _, rest = text.partition(":")
        own = dict(part.split("=", 1) for part in rest.split(";") if part)
        rate, seconds = float(own.pop("rate", given.rate)), float(own.pop("seconds", given.seconds))
        size, average = int(own.pop("batch", given.batch)), float(own.pop("average", given.average))
        modules = int(own.pop("modules", given.modules))
        step = {"clip": own.pop("clip", given.clip), "optimizer": own.pop("optimizer", given.optimizer)}
        prefix = f"model_settings.multi_source_bases.{given.part}.config."
        changes = [f"{key[1:] if key.startswith('/') else prefix + key}={value}" for key, value in own.items()]
        config = load_config(given.config, [*given.set, *changes])
        model = build_model(config)
        if held is None:
            detector = eg.load_detector(given.true_detector) if given.true_detector else model.detector
            held, data = Held(config, model, given.test, detector), events_of(config, model, "training")
        step |= {"rate": rate, "seconds": seconds, "size": size, "average": average, "modules": modules}
        trained = train(name, model, held, data, **step)
        if given.save:
            print(f"wrote {eg.save_model(trained, given.save / name)}")


if __name__ == "__main__":
    main()

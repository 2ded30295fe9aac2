"""What inputs, start of layers, corrections and steps are worth: learned sources trained on one set of simulated events.

python experiments/what_networks_learn.py CONFIG [VARIANT ...] [--seconds 120] [--set key=value ...]

CONFIG is like `evgen_jax/tables/demo.yaml` with its events simulated. A variant is NAME:KEY=VALUE;KEY=VALUE of the cascade's
(or track's) `config`, for example 'invariant:inputs=[invariant];layer_start=fan_in'; `rate=3e-3` is the largest learning rate
(linear warm-up, cosine decay over the time that is given). Prints per variant, at growing times: by how much the
log-likelihood per event of held-out events stays behind the true one, in charges and in times, and the scatter of
ln(expected charge / true one) of modules with over 0.3 photoelectrons at 10 TeV, more than 15 m from the shower.
"""

import argparse
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import yaml

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.experiment import build_model, iterator
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import find_files
from evgen_jax.data.event_file import read_event_file
from evgen_jax.training.step import init_state, make_loss_terms, make_train_step

CASCADE = "model_settings.multi_source_bases.cascade.config"
FEWEST, NEAREST = 0.3, 15.0


def events_of(config, model, name):
    """Events and labels of an iterator."""
    events, labels = [], []
    for path in find_files(iterator(config, name).input_data):
        file = read_event_file(path, config.data_handler_settings, model.detector, parameters=model.parameters)
        events += [file.event(i) for i in range(len(file))]
        labels.append(np.asarray(file.labels))
    return events, np.concatenate(labels)


def batches(events, labels, size, rng):
    """Endless batches of similar events, so that little is padded."""
    order = np.argsort([len(e.pulses.charge) for e in events])
    groups = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    ready = [(eg.stack_events([events[i] for i in own], factor=4), labels[own].astype(np.float32)) for own in groups]
    yield from {
        ready_batch[0].pulses.charge.shape + ready_batch[0].active.shape: ready_batch for ready_batch in ready
    }.values()
    yield None
    while True:
        for group in rng.permutation(len(groups)):
            yield ready[group]


def charges_of(model, hypotheses, events):
    """Expected charges [E, D] without excluded windows."""

    def one(variables, pair):
        hypothesis, event = pair
        return model.source.light_yield(variables, hypothesis, event, model.detector, False).charge_full

    function = jax.jit(lambda v, h, e: jax.lax.map(lambda pair: one(v, pair), (h, e)))
    return lambda variables: np.asarray(function(variables, hypotheses, events))


def main() -> None:
    """Trains each variant for the time given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--clip", type=float, default=1e3)
    parser.add_argument("--test", type=int, default=64)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    kept = None
    for text in given.variants or ["today:"]:
        name, _, rest = text.partition(":")
        own = dict(part.split("=", 1) for part in rest.split(";") if part)
        rate, seconds = float(own.pop("rate", given.rate)), float(own.pop("seconds", given.seconds))
        size = int(own.pop("batch", given.batch))
        settings = [*given.set, *(k[1:] + f"={v}" if k[0] == "/" else f"{CASCADE}.{k}={v}" for k, v in own.items())]
        config = load_config(given.config, settings)
        model = build_model(config)
        detector = jax.tree.map(jnp.asarray, model.detector)
        model = model.replace(detector=detector)
        if kept is None:
            kept = events_of(config, model, "training"), events_of(config, model, "test")
        (events, labels), (held, truth) = kept
        truth_model = analytic_model(model.detector).replace(loss=model.loss)
        test = eg.stack_events(held[: given.test], factor=4)
        hypotheses = truth[: given.test].astype(np.float32)
        true_terms = {
            k: np.asarray(v).mean()
            for k, v in jax.jit(make_loss_terms(truth_model))(truth_model.variables, test, hypotheses).items()
        }
        true_charge = charges_of(truth_model, hypotheses, test)(truth_model.variables)
        distance = np.linalg.norm(np.asarray(detector.position)[None] - hypotheses[:, None, :3], axis=-1)
        chosen = (true_charge * (1e4 / hypotheses[:, 5:6]) > FEWEST) & (distance > NEAREST)
        terms, charges = jax.jit(make_loss_terms(model)), charges_of(model, hypotheses, test)

        def report(variables, step, spent):
            found = {k: np.asarray(v).mean() - true_terms[k] for k, v in terms(variables, test, hypotheses).items()}
            ratio = np.log(charges(variables)[chosen] / true_charge[chosen])
            others = ", ".join(f"{k} {v:.1f}" for k, v in found.items() if k != "loss")
            print(
                f"{name}: {spent:.0f} s, step {step}: gap {found['loss']:.1f} ({others}); charges {100 * ratio.std():.1f} %, "
                f"mean {100 * ratio.mean():+.1f} %",
                flush=True,
            )

        stream = batches(events, labels, size, np.random.default_rng(0))
        count = jnp.asarray

        def schedule(_):
            return 1.0

        optimizer = optax.inject_hyperparams(
            lambda learning_rate: optax.chain(optax.clip_by_global_norm(given.clip), optax.adam(learning_rate))
        )(learning_rate=rate)
        step = jax.jit(make_train_step(model, optimizer))
        state = init_state(model.variables, optimizer)
        while (batch := next(stream)) is not None:  # each shape once, for the compiler
            step(state, *batch)
        begin, number, due = time.process_time(), 0, 1 / 4
        report(state.variables, 0, 0)
        spent = 0.0
        clock = time.process_time()
        while spent < seconds:
            fraction = spent / seconds
            now = rate * min(1.0, (number + 1) / 50) * max(0.5 * (1 + np.cos(np.pi * fraction)), 1e-3)
            state.optimizer_state.hyperparams["learning_rate"] = count(now, jnp.float32)
            state, _ = step(state, *next(stream))
            number += 1
            jax.block_until_ready(state.step)
            spent = time.process_time() - clock
            if spent / seconds > due and due < 1:
                due *= 2
                report(state.variables, number, spent)
                clock = time.process_time() - spent
        report(state.variables, number, spent)
        print(
            f"   {1e3 * spent / number:.0f} ms per step of {size} events; {(time.process_time() - begin):.0f} CPU s",
            flush=True,
        )
        if given.save:
            eg.save_model(model.with_variables(state.variables), given.save / name, overwrite=True)


if __name__ == "__main__":
    main()

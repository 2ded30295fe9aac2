"""Schedules and optimisers against the formulas of Keras' documentation, written down once more in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from evgen_jax.config.records import ClassSettings, OptimizerSettings, TrainingSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError
from evgen_jax.training.clipping import clip_by_history
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.schedules import build_schedule


def schedule(name: str, /, **settings):
    return build_schedule(
        ClassSettings(full_class_string=f"tensorflow.keras.optimizers.schedules.{name}", settings=settings)
    )


def cosine_with_warmup(step):  # 1e-4 to 2e-3 in 10 steps, then down to a tenth of that in 40
    if step < 10:
        return (2e-3 - 1e-4) * step / 10 + 1e-4
    done = min(step - 10, 40) / 40
    return 2e-3 * (0.9 * 0.5 * (1 + np.cos(np.pi * done)) + 0.1)


def cosine_restarts(step):  # cycles of 10, 20, 40 ... steps, each with half of the rate of the one before
    length, begin, height = 10, 0, 1.0
    while step >= begin + length:
        begin, length, height = begin + length, 2 * length, 0.5 * height
    return 1e-3 * (0.8 * 0.5 * height * (1 + np.cos(np.pi * (step - begin) / length)) + 0.2)


def cycling_polynomial(step):
    length = 10 * max(np.ceil(step / 10), 1)
    return (1e-3 - 1e-5) * (1 - step / length) ** 2 + 1e-5


SCHEDULES = [
    (
        schedule("ExponentialDecay", initial_learning_rate=1e-3, decay_steps=10, decay_rate=0.5, name="n"),
        lambda s: 1e-3 * 0.5 ** (s / 10),
    ),
    (
        schedule("ExponentialDecay", initial_learning_rate=1e-3, decay_steps=10, decay_rate=0.5, staircase=True),
        lambda s: 1e-3 * 0.5 ** (s // 10),
    ),
    (
        schedule("InverseTimeDecay", initial_learning_rate=1e-3, decay_steps=10, decay_rate=0.5),
        lambda s: 1e-3 / (1 + 0.5 * s / 10),
    ),
    (
        schedule("InverseTimeDecay", initial_learning_rate=1e-3, decay_steps=10, decay_rate=0.5, staircase=True),
        lambda s: 1e-3 / (1 + 0.5 * (s // 10)),
    ),
    (
        schedule("CosineDecay", initial_learning_rate=1e-3, decay_steps=40, alpha=0.1, warmup_steps=5),
        lambda s: 1e-3 * (0.9 * 0.5 * (1 + np.cos(np.pi * min(s, 40) / 40)) + 0.1),
    ),
    (
        schedule(
            "CosineDecay", initial_learning_rate=1e-4, decay_steps=40, alpha=0.1, warmup_target=2e-3, warmup_steps=10
        ),
        cosine_with_warmup,
    ),
    (
        schedule("CosineDecayRestarts", initial_learning_rate=1e-3, first_decay_steps=10, m_mul=0.5, alpha=0.2),
        cosine_restarts,
    ),
    (
        schedule("CosineDecayRestarts", initial_learning_rate=1e-3, first_decay_steps=10, t_mul=1.0),
        lambda s: 1e-3 * 0.5 * (1 + np.cos(np.pi * (s % 10) / 10)),
    ),
    (
        schedule("PiecewiseConstantDecay", boundaries=[10, 30], values=[1e-3, 5e-4, 1e-4]),
        lambda s: 1e-3 if s <= 10 else 5e-4 if s <= 30 else 1e-4,
    ),
    (
        schedule("PolynomialDecay", initial_learning_rate=1e-3, decay_steps=10, end_learning_rate=1e-5, power=2),
        lambda s: (1e-3 - 1e-5) * (1 - min(s, 10) / 10) ** 2 + 1e-5,
    ),
    (
        schedule(
            "PolynomialDecay", initial_learning_rate=1e-3, decay_steps=10, end_learning_rate=1e-5, power=2, cycle=True
        ),
        cycling_polynomial,
    ),
    # A boundary belongs to the piece before it; the next one counts from there.
    (
        build_schedule(
            ClassSettings(
                full_class_string="MultiLearningRateScheduler",
                settings={
                    "boundaries": [10, 30],
                    "scheduler_settings": [
                        1e-3,
                        {
                            "full_class_string": "ExponentialDecay",
                            "settings": {"initial_learning_rate": 1.0, "decay_steps": 10, "decay_rate": 0.5},
                        },
                        1e-4,
                    ],
                },
            )
        ),
        lambda s: 1e-3 if s <= 10 else 0.5 ** ((s - 10) / 10) if s <= 30 else 1e-4,
    ),
]


@pytest.mark.parametrize("number", range(len(SCHEDULES)))
def test_schedule(number):
    rate, formula = SCHEDULES[number]
    steps = [0, 1, 5, 9, 10, 11, 19, 20, 29, 30, 31, 45, 50, 69, 70, 71, 1000]
    # As the optimiser asks: whole numbers of 32 bits, in a compiled function or not.
    found = [float(rate(jnp.asarray(step, jnp.int32))) for step in steps]
    np.testing.assert_allclose(found, [formula(step) for step in steps], rtol=3e-6, atol=1e-10)
    np.testing.assert_allclose([float(rate(step)) for step in steps], found, rtol=3e-6, atol=1e-10)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("CosineDecya", {}, "Did you mean 'CosineDecay'?"),
        ("CosineDecay", {"initial_learning_rate": 1e-3}, "settings.decay_steps: is missing"),
        ("CosineDecay", {"initial_learning_rate": 1e-3, "decay_steps": 0}, "decay_steps: got 0; expected a number > 0"),
        ("CosineDecay", {"initial_learning_rate": 1e-3, "decay_steps": 5, "warmup": 1}, "has no setting 'warmup'"),
        (
            "ExponentialDecay",
            {"initial_learning_rate": "1", "decay_steps": 5, "decay_rate": 1},
            "got '1'; expected a number",
        ),
        (
            "PolynomialDecay",
            {"initial_learning_rate": 1, "decay_steps": 5, "cycle": 1},
            "cycle: got 1; expected True or",
        ),
        (
            "CosineDecayRestarts",
            {"initial_learning_rate": 1, "first_decay_steps": 5, "t_mul": 0.5},
            "expected a number >= 1",
        ),
        (
            "PiecewiseConstantDecay",
            {"boundaries": [5], "values": [1e-3]},
            "values: expected 2 numbers for 1 boundaries",
        ),
        ("PiecewiseConstantDecay", {"boundaries": [5, 5], "values": [1, 2, 3]}, "expected increasing positive steps"),
        (
            "MultiLearningRateScheduler",
            {"boundaries": [5], "scheduler_settings": [1, {"full_class_string": "X"}]},
            "scheduler_settings[1].full_class_string: 'X' is unknown",
        ),
        ("MultiLearningRateScheduler", {"boundaries": 5, "scheduler_settings": [1]}, "expected increasing positive"),
    ],
)
def test_wrong_schedules_are_one_line(name, settings, message):
    with pytest.raises(ConfigError) as caught:
        schedule(name, **settings)
    assert message in str(caught.value) and str(caught.value).startswith(
        "training_settings.optimizer_settings.learning_rate"
    )


GRADIENTS = np.array([[0.3, -2.0], [0.1, 5.0], [-4.0, 1e-7], [0.2, 0.5], [1e-9, -0.1], [0.05, 3.0]])
RATES = 1e-2 * 0.5 ** (np.arange(6) / 2)


def path(optimizer_name: str, **settings) -> np.ndarray:
    """Weights after each of six steps, whose rates fall."""
    given = {
        "learning_rate": {
            "full_class_string": "ExponentialDecay",
            "settings": {"initial_learning_rate": 1e-2, "decay_steps": 2, "decay_rate": 0.5},
        },
        **settings,
    }
    record = TrainingSettings(
        optimizer_name=optimizer_name,
        num_training_iterations=1,
        optimizer_settings=OptimizerSettings.model_validate(given),
    )
    optimizer, _ = build_optimizer(record)
    weights = {"w": jnp.asarray([1.0, -2.0])}
    state, found = optimizer.init(weights), []
    for gradient in GRADIENTS:
        updates, state = optimizer.update({"w": jnp.asarray(gradient, jnp.float32)}, state, weights)
        weights = optax.apply_updates(weights, updates)
        found.append(np.asarray(weights["w"]))
    return np.stack(found)


def walked(step, decay: float = 0.0) -> np.ndarray:
    """Weights when `step(number, rate, gradient)` is taken off, and Keras' weight decay before it."""
    weights, found = np.array([1.0, -2.0]), []
    for t, (rate, gradient) in enumerate(zip(RATES, GRADIENTS, strict=True), start=1):
        weights = weights - rate * decay * weights - step(t, rate, gradient)
        found.append(weights)
    return np.stack(found)


def adam(b1=0.9, b2=0.999, epsilon=1e-8, amsgrad=False):
    m, v, largest = np.zeros(2), np.zeros(2), np.zeros(2)

    def step(t, rate, g):
        nonlocal m, v, largest
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        largest = np.maximum(largest, v)
        alpha = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
        return alpha * m / (np.sqrt(largest if amsgrad else v) + epsilon)

    return step


def sgd(momentum, nesterov):
    velocity = np.zeros(2)

    def step(t, rate, g):
        nonlocal velocity
        velocity = momentum * velocity - rate * g
        return rate * g - momentum * velocity if nesterov else -velocity

    return step


def rmsprop(rho, momentum, epsilon, centered):
    v, mean, moving = np.zeros(2), np.zeros(2), np.zeros(2)

    def step(t, rate, g):
        nonlocal v, mean, moving
        v, mean = rho * v + (1 - rho) * g**2, rho * mean + (1 - rho) * g
        increment = rate * g / np.sqrt(v - centered * mean**2 + epsilon)
        moving = momentum * moving + increment
        return moving

    return step


def adagrad(initial, epsilon):
    total = np.full(2, initial)

    def step(t, rate, g):
        nonlocal total
        total = total + g**2
        return rate * g / np.sqrt(total + epsilon)

    return step


def clipped(how):
    step = adam()
    return lambda t, rate, g: step(t, rate, how(g))


OPTIMIZERS = {
    "Adam": (("Adam", {}), walked(adam())),
    "Adam, epsilon": (("Adam", {"epsilon": 0.1, "beta_1": 0.8, "beta_2": 0.99}), walked(adam(0.8, 0.99, 0.1))),
    "Adam, amsgrad": (("Adam", {"amsgrad": True, "beta_2": 0.7}), walked(adam(b2=0.7, amsgrad=True))),
    "Adam, no amsgrad": (
        ("Adam", {"amsgrad": False, "use_ema": False, "ema_momentum": 0.99, "jit_compile": True, "name": "Adam"}),
        walked(adam()),
    ),
    "Adam, weight decay": (("Adam", {"weight_decay": 0.3}), walked(adam(), 0.3)),
    "AdamW": (("tf.keras.optimizers.AdamW", {"weight_decay": 0.3, "epsilon": 1e-2}), walked(adam(epsilon=1e-2), 0.3)),
    "SGD": (("SGD", {"momentum": 0.0, "weight_decay": 0.1}), walked(lambda t, rate, g: rate * g, 0.1)),
    "SGD, momentum": (("SGD", {"momentum": 0.9, "weight_decay": 0.1}), walked(sgd(0.9, False), 0.1)),
    "SGD, nesterov": (("SGD", {"momentum": 0.9, "nesterov": True}), walked(sgd(0.9, True))),
    "RMSprop": (("RMSprop", {"rho": 0.8, "epsilon": 1e-3}), walked(rmsprop(0.8, 0.0, 1e-3, False))),
    "RMSprop, centered": (
        ("RMSprop", {"rho": 0.8, "epsilon": 1e-3, "momentum": 0.5, "centered": True}),
        walked(rmsprop(0.8, 0.5, 1e-3, True)),
    ),
    "Adagrad": (("Adagrad", {"initial_accumulator_value": 0.2, "epsilon": 1e-3}), walked(adagrad(0.2, 1e-3))),
    "clipvalue": (("Adam", {"clipvalue": 0.4}), walked(clipped(lambda g: np.clip(g, -0.4, 0.4)))),
    "clipnorm": (("Adam", {"clipnorm": 0.4}), walked(clipped(lambda g: g * 0.4 / max(np.linalg.norm(g), 0.4)))),
    "global_clipnorm": (
        ("Adam", {"global_clipnorm": 0.4}),
        walked(clipped(lambda g: g * 0.4 / max(np.linalg.norm(g), 0.4))),
    ),
}


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizer(case):
    (name, settings), expected = OPTIMIZERS[case]
    np.testing.assert_allclose(path(name, **settings), expected, rtol=2e-5, atol=2e-6)


def test_norms_are_of_each_array_or_of_all_together():
    gradients = {"a": jnp.asarray([3.0, 4.0]), "b": jnp.asarray([0.3, 0.4]), "c": jnp.zeros(2)}
    for key, expected in (
        ("clipnorm", {"a": [0.6, 0.8], "b": [0.3, 0.4]}),
        ("global_clipnorm", {k: np.asarray(gradients[k]) / np.sqrt(25.25) for k in "ab"}),
    ):
        settings = OptimizerSettings.model_validate({key: 1.0, "learning_rate": 1.0})
        optimizer, _ = build_optimizer(
            TrainingSettings(optimizer_name="SGD", num_training_iterations=1, optimizer_settings=settings)
        )
        updates, _ = optimizer.update(gradients, optimizer.init(gradients), gradients)
        for name, value in {**expected, "c": [0, 0]}.items():
            np.testing.assert_allclose(-updates[name], value, rtol=1e-6)


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("Adam", {"clipnorm": 1.0, "clipvalue": 1.0}, "only one of clipnorm and clipvalue can be set"),
        ("Adam", {"use_ema": True}, "optimizer_settings.use_ema: got True"),
        ("Adam", {"gradient_accumulation_steps": 4}, "optimizer_settings.gradient_accumulation_steps: got 4"),
        ("Adam", {"momentum": 0.9}, "optimizer_settings.momentum: adam does not take it; it takes beta_1"),
        ("Adam", {"epsilon": 1e-7, "momentum": 0.9}, "optimizer_settings.momentum: adam does not take it"),
        ("SGD", {"amsgrad": True}, "optimizer_settings.amsgrad: sgd does not take it; it takes weight_decay"),
        ("AdamW", {}, "weight_decay: is missing; Keras' AdamW has 0.004"),
        ("Adams", {}, "Did you mean 'adam'?"),
        ("Adam", {"clipnorm": 0}, "clipnorm: got 0; expected greater than 0"),
    ],
)
def test_wrong_optimizers_are_one_line(name, settings, message):
    plain = {"optimizer_name": name, "num_training_iterations": 1, "optimizer_settings": settings}
    with pytest.raises(ConfigError) as caught:
        build_optimizer(validate(TrainingSettings, plain, "config.yaml"))
    assert message in str(caught.value)


def test_gradients_are_clipped_by_their_history():
    clip = clip_by_history(2.0)
    state = clip.init(None)
    for norm in (5.0, 5.0, 5.0):
        gradient, state = clip.update({"a": jnp.array([norm, 0.0])}, state)
        np.testing.assert_allclose(gradient["a"], [5.0, 0.0], rtol=1e-6)
    gradient, state = clip.update({"a": jnp.array([0.0, 5e4])}, state)
    np.testing.assert_allclose(gradient["a"], [0.0, 10.0], rtol=1e-5)  # twice the usual norm
    # What is remembered of it is ten times the usual norm: with four norms of nearly equal weight, 5 * 10^(1/4).
    gradient, state = clip.update({"a": jnp.array([0.0, 5e4])}, state)
    np.testing.assert_allclose(gradient["a"], [0.0, 10 * 10**0.25], rtol=2e-2)
    before = state
    gradient, state = clip.update({"a": jnp.array([jnp.nan, 0.0])}, state)
    np.testing.assert_array_equal(state.total, before.total)
    # It follows a loss that falls.
    for _ in range(2000):
        _, state = clip.update({"a": jnp.array([0.01, 0.0])}, state)
    gradient, _ = clip.update({"a": jnp.array([1.0, 0.0])}, state)
    np.testing.assert_allclose(gradient["a"], [0.02, 0.0], rtol=1e-2)


def test_the_first_gradient_of_nothing_is_nothing():
    clip = clip_by_history(2.0)
    gradient, state = clip.update({"a": jnp.zeros(2)}, clip.init(None))
    assert not np.any(gradient["a"]) and np.all(np.isfinite(jax.tree.leaves(state)))


def test_muon_steps_along_orthogonal_matrices():
    settings = TrainingSettings(
        num_training_iterations=1, optimizer_name="muon", optimizer_settings=OptimizerSettings(learning_rate=0.1)
    )
    optimizer, _ = build_optimizer(settings)
    rng = np.random.default_rng(0)
    weights = {"kernel": jnp.asarray(rng.normal(size=(8, 8)), jnp.float32), "bias": jnp.zeros(3)}
    gradient = {"kernel": jnp.asarray(np.outer(*rng.normal(size=(2, 8))) + 0.1 * rng.normal(size=(8, 8)), jnp.float32)}
    gradient["bias"] = jnp.array([3.0, -1e-3, 0.5])
    step, _ = optimizer.update(gradient, optimizer.init(weights), weights)
    # All directions of a matrix get steps of about one length, whatever the gradient; vectors get Adam's, with
    # Nesterov's momentum in the first step: (0.9 (1 - 0.9) / (1 - 0.9^2) + 1) 0.1.
    values = np.linalg.svd(step["kernel"], compute_uv=False)
    assert values.min() > 0.05 and values.max() < 0.14
    assert np.vdot(step["kernel"], gradient["kernel"]) < 0
    np.testing.assert_allclose(step["bias"], 0.1 * (0.09 / 0.19 + 1) * np.array([-1, 1, -1]), rtol=1e-3)

"""A line search, one trial at a time: shorter until the value falls enough, longer where the slope stays steep."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from evgen_jax.reconstruction.fit.state import LineSearch

ARMIJO = 1e-4
"""Share of the decrease by the first slope that a trial must reach (Armijo's condition)."""
WOLFE = 0.9
"""Share of the first slope above which the slope of a trial is steep (Wolfe's condition)."""
MAX_TRIALS = 12
"""Largest number of trials of a line search."""
ROUNDING = 1e-9
"""Relative rounding error of float64 sums of float32 terms."""


def begun(
    x: Float[Array, " n"],
    value: Float[Array, ""],
    gradient: Float[Array, " n"],
    step: Float[Array, " n"],
    slope: Float[Array, ""],
) -> LineSearch:
    """Makes a line search before its first trial, the whole step.

    Args:
      x: [n], unknowns where it begins.
      value: of the function there, scalar.
      gradient: [n], of the function there.
      step: [n].
      slope: derivative along the step, negative, scalar.

    Returns:
      The search.
    """
    one = jnp.ones_like(slope)
    return LineSearch(
        step=step,
        slope=slope,
        length=one,
        low=0 * one,
        high=jnp.inf * one,
        trials=jnp.zeros((), jnp.int32),
        found=jnp.zeros((), bool),
        x=x,
        value=value,
        gradient=gradient,
    )


def trial(line: LineSearch, start: Float[Array, " n"]) -> Float[Array, " n"]:
    """Computes the unknowns of the next trial.

    Args:
      line: the search.
      start: [n], unknowns where it began.

    Returns:
      Unknowns [n].
    """
    return start + line.length * line.step


def tried(
    line: LineSearch,
    start: Float[Array, " n"],
    first_value: Float[Array, ""],
    value: Float[Array, ""],
    gradient: Float[Array, " n"],
) -> tuple[LineSearch, Bool[Array, ""]]:
    """Takes one more trial into account.

    Args:
      line: before the trial.
      start: [n], unknowns where the search began.
      first_value: of the function there, scalar.
      value: of the function at `trial(line, start)`, scalar.
      gradient: [n], of the function at `trial(line, start)`.

    Returns:
      The search, and whether it is over; a search that is over has `found` a lower value or none.
    """
    length, slope = line.length, line.slope
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    new_slope = jnp.where(finite, gradient, 0.0) @ line.step
    slack = ROUNDING * jnp.maximum(jnp.abs(first_value), 1.0)
    falls = finite & (value <= first_value + ARMIJO * length * slope + slack)
    steep = falls & (new_slope < WOLFE * slope)
    better = falls & (~line.found | (value < line.value))
    # Too far: back, by the parabola through both values and the first slope. Not far enough: on, at most to what was too far.
    rise = jnp.where(finite, value - first_value - slope * length, jnp.inf)
    guess = -slope * length**2 / (2 * rise)
    shorter = jnp.clip(
        jnp.where(jnp.isfinite(guess), guess, 0.1 * length),
        line.low + 0.1 * (length - line.low),
        0.5 * (line.low + length),
    )
    longer = jnp.where(jnp.isfinite(line.high), 0.5 * (length + line.high), 2 * length)
    after = line.replace(
        length=jnp.where(steep, longer, jnp.where(falls, length, shorter)),
        low=jnp.where(steep, length, line.low),
        high=jnp.where(falls, line.high, length),
        trials=line.trials + 1,
        found=line.found | falls,
        x=jnp.where(better, trial(line, start), line.x),
        value=jnp.where(better, value, line.value),
        gradient=jnp.where(better, gradient, line.gradient),
    )
    closed = jnp.where(falls, ~steep, line.found)
    return after, closed | (after.trials >= MAX_TRIALS)

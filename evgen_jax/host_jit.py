"""`jax.jit` for programs that the host calls, compiled with the options that are fast on this machine."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

import jax

DOTS_ALONE = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
"""Option of XLA by which a library for CPUs (YNNPACK) computes matrix products and leaves sums to the compiler."""
FIRST_SLOW = (0, 11)
"""Version of JAX from which that library takes sums whose terms are written to memory first."""

Result = TypeVar("Result")


@cache
def compiler_options() -> dict[str, str]:
    """Options for programs of the default backend.

    From JAX 0.11 on terms of a sum over pulses or modules are written to memory, for a library to add them up (jax-ml/jax#37465):
    a likelihood and its gradient take 1.3 to 1.4 times as long as where the compiler adds them up as it computes them
    (`benchmarks/results/compiler_options.md`). JAX 0.10.1 does better with its library.

    Returns:
      Options of XLA, none where JAX is older, has no such option, or computes on an accelerator.
    """
    if jax.__version_info__ < FIRST_SLOW or jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=DOTS_ALONE).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return DOTS_ALONE


def host_jit(**settings: Any) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Decorates functions that the host alone calls: JAX takes no options of a function inside another jitted one.

    Options are found at the first call, for an import starts no backend.

    Args:
      **settings: of `jax.jit`, such as `static_argnums`.

    Returns:
      Decorator of a function of positional arguments.
    """

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @cache
        def jitted() -> Callable[..., Result]:
            return jax.jit(function, compiler_options=compiler_options(), **settings)

        @wraps(function)
        def call(*arguments: Any) -> Result:
            return jitted()(*arguments)

        return call

    return decorate

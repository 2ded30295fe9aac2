"""Programs of the host: compiled with the options that are fast here, and without them where JAX has none."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax import host_jit
from evgen_jax.host_jit import DOTS_ALONE, FIRST_SLOW, compiler_options
from evgen_jax.reconstruction.fit import programs


@pytest.fixture(autouse=True)
def asked_anew():
    """Options are asked for once a process, so that every test asks again."""
    compiler_options.cache_clear()
    yield
    compiler_options.cache_clear()


def sums(rows: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(rows - 1.0), axis=1)


def test_sums_are_left_to_the_compiler():
    """Where a library computed them, a fit took 1.3 times as long."""
    slow = jax.default_backend() == "cpu" and jax.__version_info__ >= FIRST_SLOW
    assert compiler_options() == (DOTS_ALONE if slow else {})
    if not slow:
        pytest.skip("this JAX needs no option")
    rows = np.random.default_rng(0).normal(size=(20000, 64)).astype(np.float32)
    compiled = jax.jit(sums, compiler_options=compiler_options()).lower(rows).compile()
    assert "ynn_fusion" not in compiled.as_text()
    np.testing.assert_allclose(compiled(rows), np.sum((rows - 1) ** 2, axis=1), rtol=1e-5)


def test_a_jax_without_the_option_compiles_without_it(monkeypatch):
    monkeypatch.setattr(host_jit, "FIRST_SLOW", (0, 0))
    monkeypatch.setattr(host_jit, "DOTS_ALONE", {"xla_cpu_option_of_another_version": "1"})
    assert compiler_options() == {}
    monkeypatch.setattr(host_jit, "DOTS_ALONE", {name: "VALUE_OF_ANOTHER_VERSION" for name in DOTS_ALONE})
    compiler_options.cache_clear()
    assert compiler_options() == {}


def test_programs_take_static_arguments_and_keep_their_names():
    @host_jit.host_jit(static_argnums=0)
    def power(exponent: int, x: jax.Array) -> jax.Array:
        """Computes a power."""
        assert isinstance(exponent, int)
        return x**exponent

    np.testing.assert_array_equal(power(3, jnp.arange(4.0)), [0, 1, 8, 27])
    assert power.__name__ == "power" and power.__doc__ == "Computes a power."
    assert programs.searches.__doc__.startswith("Lets searches")


def test_importing_programs_starts_no_backend():
    told = "import evgen_jax.reconstruction.fit.programs; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]

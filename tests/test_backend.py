"""What a version of JAX or an accelerator may get wrong without a warning."""

import re

import jax
import jax.numpy as jnp
import numpy as np

import evgen_jax as eg
from evgen_jax.building.experiment import build_model
from evgen_jax.config.validate import load_config
from evgen_jax.sources.linen_source import empty_event


def test_batched_matrix_vector_products_are_right():
    """JAX 0.10.2 got them wrong on CPU (jax-ml/jax#39103): refuse to run on such a version."""
    matrix = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    rows = np.random.default_rng(1).normal(size=(41280, 3)).astype(np.float32)
    with jax.default_matmul_precision("highest"):
        got = jax.jit(jax.vmap(lambda r: jnp.sum((jnp.asarray(matrix) @ r) ** 2)))(rows)
    expected = np.sum((rows.astype(np.float64) @ matrix.T.astype(np.float64)) ** 2, axis=1)
    np.testing.assert_allclose(
        got, expected, rtol=1e-4, err_msg="this JAX returns wrong numbers on CPU; install another version"
    )


def test_products_of_matrices_keep_the_digits_of_float32(experiment):
    """Accelerators multiply with ten bits of mantissa by default, which moves a trained log-likelihood by more than 1."""
    model = build_model(load_config(experiment / "config.yaml"))
    log_likelihood = eg.make_log_likelihood(model)
    event, hypothesis = empty_event(model.detector.num_doms), jnp.ones(len(model.parameter_names))

    def precisions() -> tuple[set[str], int]:
        gradient = jax.make_jaxpr(jax.grad(log_likelihood, argnums=(0, 1)))(model.variables, hypothesis, event)
        return set(found := re.findall(r"dot_general\[.*?precision=(\S+ ?\S*)", str(gradient), re.DOTALL)), len(found)

    found, count = precisions()
    assert found == {"(Precision.HIGHEST, Precision.HIGHEST)"} and count > 8
    with jax.default_matmul_precision("bfloat16"):
        found, _ = precisions()
    assert "(Precision.HIGHEST, Precision.HIGHEST)" not in found

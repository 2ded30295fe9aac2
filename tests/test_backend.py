"""JAX 0.10.2 returns wrong numbers on CPU without a warning (jax-ml/jax#39103): refuse to run on such a version."""

import jax
import jax.numpy as jnp
import numpy as np


def test_batched_matrix_vector_products_are_right():
    matrix = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    rows = np.random.default_rng(1).normal(size=(41280, 3)).astype(np.float32)
    got = jax.jit(jax.vmap(lambda r: jnp.sum((jnp.asarray(matrix) @ r) ** 2)))(rows)
    expected = np.sum((rows.astype(np.float64) @ matrix.T.astype(np.float64)) ** 2, axis=1)
    np.testing.assert_allclose(
        got, expected, rtol=1e-4, err_msg="this JAX returns wrong numbers on CPU; install another version"
    )

"""A log-likelihood that `eg.export_log_likelihood` wrote, and its gradient: python run_exported_likelihood.py PROGRAM EVENT.npz x y z ..."""

import sys

import jax
import jax.export

jax.config.update("jax_enable_x64", True)
with open(sys.argv[1], "rb") as file:
    log_likelihood = jax.export.deserialize(file.read()).call
event = dict(jax.numpy.load(sys.argv[2]))
hypothesis = jax.numpy.array(sys.argv[3:], float)
value, gradient = jax.jit(jax.value_and_grad(log_likelihood))(hypothesis, event)
print(repr(float(value)), *map(repr, gradient.tolist()))

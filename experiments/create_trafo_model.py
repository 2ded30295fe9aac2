"""Fit the data transformation: python create_trafo_model.py CONFIG (the same as `evgen-jax create-trafo`)."""

import sys

from evgen_jax.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "create-trafo")
    main()

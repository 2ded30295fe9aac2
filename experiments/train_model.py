"""Train a model: python train_model.py CONFIG (the same as `evgen-jax train`)."""

import sys

from evgen_jax.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()

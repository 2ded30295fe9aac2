"""Export a model: python export_manager.py CONFIG -o DIR (the same as `evgen-jax export`)."""

import sys

from evgen_jax.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "export")
    main()

"""`python -m evgen_jax.cli` runs the command `evgen-jax`."""

from evgen_jax.cli.main import main

if __name__ == "__main__":
    main()

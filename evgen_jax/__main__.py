"""`python -m evgen_jax` is the same as `evgen-jax`."""

from evgen_jax.cli.main import main

if __name__ == "__main__":
    main()

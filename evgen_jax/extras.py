"""Packages that not everybody has: asked for before anything is computed."""

from importlib.util import find_spec

from evgen_jax.errors import ConfigError

EXTRAS = {
    "pyarrow": "parquet", "astropy": "sky", "astropy_healpix": "sky", "blackjax": "posterior", "corner": "posterior",
    "distributed": "cluster", "wandb": "wandb", "mlflow": "mlflow",
}  # fmt: skip


def need(package: str, purpose: str) -> None:
    """Raises ConfigError if a package is not installed, with the extra that brings it.

    Args:
      package: as it is imported, one of `EXTRAS`.
      purpose: what needs it, such as an option.
    """
    if find_spec(package) is None:
        name = package.replace("_", "-")
        raise ConfigError(f"{purpose} needs {name}. Install it with: pip install 'evgen_jax[{EXTRAS[package]}]'.")

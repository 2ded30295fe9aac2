"""Optional packages: their presence is checked before anything is computed."""

from importlib.util import find_spec

from evgen_jax.errors import ConfigError

EXTRAS = {
    "pyarrow": "parquet",
    "uproot": "km3net",
    "astropy": "sky",
    "astropy_healpix": "sky",
    "blackjax": "posterior",
    "corner": "posterior",
    "distributed": "cluster",
    "acem": "hadronic",
    "flatbuffers": "export",
    "pandas": "tables",
    "polars": "tables",
    "wandb": "wandb",
    "mlflow": "mlflow",
}
"""Name of an optional package, as it is imported -> the extra of evgen_jax that installs it."""


def need(package: str, purpose: str) -> None:
    """Checks that an optional package is installed.

    Args:
      package: its name as it is imported, one of the keys of `EXTRAS`.
      purpose: what needs it, such as an option; begins the message.

    Raises:
      ConfigError: it is not installed; names the extra that brings it.
    """
    if find_spec(package) is None:
        name = package.replace("_", "-")
        raise ConfigError(f"{purpose} needs {name}. Install it with: pip install 'evgen_jax[{EXTRAS[package]}]'.")

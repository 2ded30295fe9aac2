"""The version, alone in a file so that nothing else is imported for it."""

try:
    # Written when the package is built or installed: the git tag, and what came after it.
    from evgen_jax._version import version
except ImportError:
    version = "0+unknown"

__version__: str = version

"""Figures. The only folder that imports matplotlib."""

from evgen_jax.report.plots.overview import figures

__all__ = ["figures"]

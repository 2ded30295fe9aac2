"""Fits of whole files."""

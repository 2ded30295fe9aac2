"""Cheaper light."""

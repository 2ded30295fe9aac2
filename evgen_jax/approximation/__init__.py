"""Cheaper light: approximations of a model with a stated error."""

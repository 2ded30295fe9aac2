"""Figures. The only folder that imports matplotlib."""

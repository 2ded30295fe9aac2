"""How far from the fit the truth may be."""

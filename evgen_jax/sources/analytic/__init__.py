"""Sources whose light is computed."""

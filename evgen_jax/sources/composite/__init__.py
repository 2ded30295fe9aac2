"""Sources made of sources."""

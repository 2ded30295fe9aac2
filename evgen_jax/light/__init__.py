"""Light adds."""

"""Where fits begin."""

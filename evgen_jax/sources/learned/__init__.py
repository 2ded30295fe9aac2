"""Sources whose light is learned."""

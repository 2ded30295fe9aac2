"""The zoo: sources of light, each a linen module in a file of its own."""

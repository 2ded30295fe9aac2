"""Ice, angles, muons."""

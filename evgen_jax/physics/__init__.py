"""Physics that sources share: ice, acceptance of modules, angles and directions, muons."""

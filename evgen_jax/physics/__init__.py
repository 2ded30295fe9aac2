"""Physics that sources share: ice and water, angular curves of sensors, angles and directions, muons."""

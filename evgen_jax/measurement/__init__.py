"""What was seen: detectors, pulses and events."""

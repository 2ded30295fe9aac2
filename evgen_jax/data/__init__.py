"""Files of events: reading, checks, batches for training, and writing."""

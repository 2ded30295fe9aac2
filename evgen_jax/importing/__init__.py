"""Models that other programs trained: what lies on disk is read, told apart and checked, and becomes a model."""

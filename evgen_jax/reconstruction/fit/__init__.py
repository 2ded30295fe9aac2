"""The likeliest hypothesis of an event, and its covariance."""

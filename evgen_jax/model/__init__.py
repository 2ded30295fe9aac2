"""How likely an event is: models, likelihoods, expectations and samples."""

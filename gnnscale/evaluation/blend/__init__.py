"""The network and the baselines as one answer: their weights, found on the validation examples."""

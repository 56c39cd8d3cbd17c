"""What training minimizes: losses of node-level outputs and of links, each under its name in ``training.loss``."""

"""Benchmarks: ``python -m tests.benchmarks.<name> [--full] [--json]``."""

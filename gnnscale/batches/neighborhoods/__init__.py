"""Neighborhoods of entities as flat lists of slots, for the networks of links and of node-level tasks."""

"""Sampled blocks with the features of their nodes: from memory, from walks, from shards, on a device."""

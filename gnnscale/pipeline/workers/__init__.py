"""What runs in Ray: training workers, embedding actors, index shards, searches."""

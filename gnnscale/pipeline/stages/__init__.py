"""Each stage: what it reads, makes, and when it is skipped."""

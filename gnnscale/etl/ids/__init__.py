"""Node ids: keys by fingerprint, and looking them up."""

"""Key-value stores, each known by the scheme of its URIs."""

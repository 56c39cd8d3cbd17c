"""Random walks, and importance by how often they visit."""

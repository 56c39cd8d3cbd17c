"""From vectors to ranked lists."""

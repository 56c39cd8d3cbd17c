"""The sections of the configuration, as classes that check what is given."""

"""What ``databricks.yml`` takes from Python."""

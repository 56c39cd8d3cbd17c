"""The Spark session, and tables written and read through it."""

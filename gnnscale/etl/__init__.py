"""Spark stages: raw tables to graph tables and labels. The only code that imports pyspark."""

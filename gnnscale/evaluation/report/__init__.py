"""The report: pages, charts and words."""

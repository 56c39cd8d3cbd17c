"""Files and tables that rows come from, and one reading of them."""

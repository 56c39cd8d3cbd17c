# Host and credentials come from the environment (DATABRICKS_HOST and its like) or a profile, never from a file here.
provider "databricks" {}

output "schema" {
  description = "Name of the schema."
  value       = databricks_schema.this.name
}

output "lake" {
  description = "Where the lake is."
  value       = "/Volumes/${var.catalog}/${databricks_schema.this.name}/${databricks_volume.lake.name}/lake"
}

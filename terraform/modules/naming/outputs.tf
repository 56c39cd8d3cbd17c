output "prefix" {
  description = "What names in the workspace begin with."
  value       = local.prefix
}

output "schema" {
  description = "Name of the schema."
  value       = local.schema
}

output "volume" {
  description = "Name of the volume that holds the lake."
  value       = "lake"
}

output "experiment" {
  description = "Path of the MLflow experiment."
  value       = "/Shared/${local.prefix}"
}

output "model" {
  description = "Last part of the registered model's name."
  value       = "predictions"
}

output "model_name" {
  description = "Three-part name of the registered model."
  value       = "${var.catalog}.${local.schema}.predictions"
}

output "tags" {
  description = "What everything that costs money is tagged with."
  value = {
    project     = var.project
    environment = var.environment
  }
}

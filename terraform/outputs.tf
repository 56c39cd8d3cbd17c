output "job_id" {
  description = "Id of the job."
  value       = module.jobs.job_id
}

output "lake" {
  description = "Where the lake is."
  value       = module.catalog.lake
}

output "experiment" {
  description = "Path of the MLflow experiment."
  value       = module.naming.experiment
}

output "model" {
  description = "Three-part name of the registered model."
  value       = module.naming.model_name
}

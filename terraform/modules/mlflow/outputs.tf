output "experiment_id" {
  description = "Id of the experiment."
  value       = databricks_mlflow_experiment.this.id
}

output "model" {
  description = "Three-part name of the registered model."
  value       = databricks_registered_model.this.id
}

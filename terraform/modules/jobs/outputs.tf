output "job_id" {
  description = "Id of the job."
  value       = databricks_job.this.id
}

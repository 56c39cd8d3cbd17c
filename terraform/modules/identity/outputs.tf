output "application_id" {
  description = "Id that the service principal is granted things by."
  value       = databricks_service_principal.this.application_id
}

output "secret_scope" {
  description = "Name of the secret scope."
  value       = databricks_secret_scope.this.name
}

# Has no secret of its own here: the job runs as it on the platform, and who deploys gets in by a federation policy.
resource "databricks_service_principal" "this" {
  display_name               = var.name
  allow_cluster_create       = false
  allow_instance_pool_create = false
  databricks_sql_access      = false
  workspace_access           = true
}

# Holds credentials of stores outside the platform, which are put there by hand or by another pipeline.
resource "databricks_secret_scope" "this" {
  name = var.name
}

resource "databricks_secret_acl" "job" {
  scope      = databricks_secret_scope.this.name
  principal  = databricks_service_principal.this.application_id
  permission = "READ"
}

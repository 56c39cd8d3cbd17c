resource "databricks_mlflow_experiment" "this" {
  name        = var.experiment
  description = "Runs of gnnscale."
}

resource "databricks_permissions" "experiment" {
  experiment_id = databricks_mlflow_experiment.this.id

  access_control {
    service_principal_name = var.writer
    permission_level       = "CAN_EDIT"
  }

  dynamic "access_control" {
    for_each = var.reader_groups

    content {
      group_name       = access_control.value
      permission_level = "CAN_READ"
    }
  }
}

# Its aliases, champion and challenger, are set by the job, which compares the two.
resource "databricks_registered_model" "this" {
  catalog_name = var.catalog
  schema_name  = var.schema
  name         = var.model
  comment      = "Models of gnnscale; the alias champion is the one that answers."
}

resource "databricks_grants" "model" {
  model = databricks_registered_model.this.id

  grant {
    principal  = var.writer
    privileges = ["EXECUTE", "MANAGE"]
  }

  dynamic "grant" {
    for_each = var.reader_groups

    content {
      principal  = grant.value
      privileges = ["EXECUTE"]
    }
  }
}

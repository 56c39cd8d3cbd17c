# One grant each, beside those that the catalog has; databricks_grants would take the others away.
resource "databricks_grant" "catalog" {
  # The writer's id is known once it is made; keys have to be known before.
  for_each = merge({ writer = var.writer }, { for group in var.reader_groups : "group ${group}" => group })

  catalog    = var.catalog
  principal  = each.value
  privileges = ["USE_CATALOG"]
}

resource "databricks_schema" "this" {
  catalog_name  = var.catalog
  name          = var.schema
  comment       = "Graphs, labels, models and predictions of gnnscale."
  force_destroy = !var.keep
}

resource "databricks_volume" "lake" {
  catalog_name = var.catalog
  schema_name  = databricks_schema.this.name
  name         = var.volume
  volume_type  = "MANAGED"
  comment      = "Delta tables, records and reports of gnnscale."
}

resource "databricks_grants" "schema" {
  schema = databricks_schema.this.id

  grant {
    principal  = var.writer
    privileges = ["USE_SCHEMA", "SELECT", "MODIFY", "CREATE_TABLE", "CREATE_MODEL", "READ_VOLUME", "WRITE_VOLUME"]
  }

  dynamic "grant" {
    for_each = var.reader_groups

    content {
      principal  = grant.value
      privileges = ["USE_SCHEMA", "SELECT", "READ_VOLUME", "EXECUTE"]
    }
  }
}

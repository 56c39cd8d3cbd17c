locals {
  fixed = {
    "cluster_type"       = { type = "fixed", value = "job" }
    "data_security_mode" = { type = "fixed", value = "SINGLE_USER" }
    # Blocks that Spark spills, and the graph in memory-mapped files, are on the machines' own disks.
    "enable_local_disk_encryption" = { type = "fixed", value = true }
  }
  tags = { for key, value in var.tags : "custom_tags.${key}" => { type = "fixed", value = value } }

  definitions = {
    spark = {
      "spark_version"         = { type = "fixed", value = var.spark_version }
      "node_type_id"          = { type = "fixed", value = var.node_types.spark }
      "autoscale.max_workers" = { type = "range", maxValue = var.most_workers }
    }
    gpu = {
      "spark_version" = { type = "fixed", value = var.gpu_spark_version }
      "node_type_id"  = { type = "fixed", value = var.node_types.gpu }
      "num_workers"   = { type = "fixed", value = 0 }
    }
    cpu = {
      "spark_version" = { type = "fixed", value = var.spark_version }
      "node_type_id"  = { type = "fixed", value = var.node_types.cpu }
      "num_workers"   = { type = "fixed", value = 0 }
    }
  }
}

resource "databricks_cluster_policy" "this" {
  for_each = local.definitions

  name        = "${var.prefix}-${each.key}"
  description = "Machines of gnnscale's jobs: ${each.key}."
  definition  = jsonencode(merge(local.fixed, local.tags, each.value))
}

resource "databricks_permissions" "policy" {
  for_each = databricks_cluster_policy.this

  cluster_policy_id = each.value.id

  access_control {
    service_principal_name = var.user
    permission_level       = "CAN_USE"
  }
}

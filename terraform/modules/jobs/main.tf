locals {
  single_node = {
    "spark.databricks.cluster.profile" = "singleNode"
    "spark.master"                     = "local[*]"
  }
  # Only what a task of this job runs on.
  computes = toset([for task in values(var.tasks) : task.compute])
}

resource "databricks_job" "this" {
  name        = var.name
  description = "Tables to a graph, a model and predictions: gnnscale."
  tags        = var.tags

  # Two runs would write the same lake; the second waits.
  max_concurrent_runs = 1

  queue {
    enabled = true
  }

  run_as {
    service_principal_name = var.run_as
  }

  dynamic "parameter" {
    for_each = var.parameters

    content {
      name    = parameter.key
      default = parameter.value
    }
  }

  dynamic "schedule" {
    for_each = var.schedule == null ? [] : [var.schedule]

    content {
      quartz_cron_expression = schedule.value
      timezone_id            = "UTC"
    }
  }

  dynamic "job_cluster" {
    for_each = local.computes

    content {
      job_cluster_key = job_cluster.value

      new_cluster {
        policy_id          = var.policies[job_cluster.value]
        spark_version      = var.spark_versions[job_cluster.value]
        node_type_id       = var.node_types[job_cluster.value]
        data_security_mode = "SINGLE_USER"
        num_workers        = job_cluster.value == "spark" ? null : 0
        spark_conf         = job_cluster.value == "spark" ? {} : local.single_node
        custom_tags        = job_cluster.value == "spark" ? var.tags : merge(var.tags, { ResourceClass = "SingleNode" })

        dynamic "autoscale" {
          for_each = job_cluster.value == "spark" ? [var.spark_workers] : []

          content {
            min_workers = autoscale.value.least
            max_workers = autoscale.value.most
          }
        }
      }
    }
  }

  dynamic "task" {
    for_each = var.tasks

    content {
      task_key                  = task.key
      description               = task.value.description
      job_cluster_key           = task.value.compute
      timeout_seconds           = var.timeout_seconds
      max_retries               = var.retries
      min_retry_interval_millis = 60000
      retry_on_timeout          = false

      dynamic "depends_on" {
        for_each = task.value.after

        content {
          task_key = depends_on.value
        }
      }

      python_wheel_task {
        package_name = var.package
        entry_point  = task.key
        parameters   = var.arguments
      }

      library {
        whl = var.wheel
      }

      dynamic "library" {
        for_each = var.packages

        content {
          pypi {
            package = library.value
          }
        }
      }
    }
  }

  dynamic "webhook_notifications" {
    for_each = length(var.notification_destinations) == 0 ? [] : [var.notification_destinations]

    content {
      dynamic "on_failure" {
        for_each = webhook_notifications.value

        content {
          id = on_failure.value
        }
      }
    }
  }
}

resource "databricks_permissions" "job" {
  count = length(var.operator_groups) + length(var.reader_groups) == 0 ? 0 : 1

  job_id = databricks_job.this.id

  dynamic "access_control" {
    for_each = var.operator_groups

    content {
      group_name       = access_control.value
      permission_level = "CAN_MANAGE_RUN"
    }
  }

  dynamic "access_control" {
    for_each = setsubtract(var.reader_groups, var.operator_groups)

    content {
      group_name       = access_control.value
      permission_level = "CAN_VIEW"
    }
  }
}

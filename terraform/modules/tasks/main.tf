locals {
  # Written by tools/job_tasks.py from the stages of the pipeline.
  plan  = jsondecode(file("${path.module}/tasks.json"))
  names = [for parameter in local.plan.parameters : parameter.name]
  tasks = [for task in local.plan.tasks[var.answers] : task]
}

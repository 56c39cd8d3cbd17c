output "package" {
  description = "Package whose wheel the tasks run."
  value       = local.plan.package
}

output "tasks" {
  description = "Tasks by name, each with its description, the tasks that it waits for, and what it runs on."
  value       = { for task in local.tasks : task.name => task }
}

output "parameters" {
  description = "Parameters of the job by name, with the values that a run has which is given none."
  value = {
    for parameter in local.plan.parameters :
    parameter.name => lookup(var.values, parameter.name, parameter.default)
  }
}

output "arguments" {
  description = "What every task is started with."
  value       = local.plan.arguments
}

output "timeout_seconds" {
  description = "After which a task is ended."
  value       = local.plan.timeout_seconds
}

output "retries" {
  description = "How often a failed task is run again."
  value       = local.plan.retries
}

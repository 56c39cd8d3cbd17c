variable "experiment" {
  type        = string
  description = "Path of the experiment in the workspace."

  validation {
    condition     = startswith(var.experiment, "/")
    error_message = "An experiment's path starts with a slash."
  }
}

variable "catalog" {
  type        = string
  description = "Catalog of the registered model."

  validation {
    condition     = can(regex("^[A-Za-z0-9_]+$", var.catalog))
    error_message = "The catalog's name is letters, digits and underscores."
  }
}

variable "schema" {
  type        = string
  description = "Schema of the registered model."

  validation {
    condition     = can(regex("^[a-z0-9_]+$", var.schema))
    error_message = "The schema's name is lower-case letters, digits and underscores."
  }
}

variable "model" {
  type        = string
  description = "Last part of the registered model's name."

  validation {
    condition     = can(regex("^[a-z0-9_]+$", var.model))
    error_message = "The model's name is lower-case letters, digits and underscores."
  }
}

variable "writer" {
  type        = string
  description = "Application id of the service principal that logs runs and registers models."

  validation {
    condition     = length(var.writer) > 0
    error_message = "Somebody has to log the runs."
  }
}

variable "reader_groups" {
  type        = set(string)
  description = "Groups that look at runs and load the model."
  default     = []

  validation {
    condition     = alltrue([for group in var.reader_groups : length(group) > 0])
    error_message = "A group has a name."
  }
}

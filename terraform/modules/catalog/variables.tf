variable "catalog" {
  type        = string
  description = "Catalog that is there already."

  validation {
    condition     = can(regex("^[A-Za-z0-9_]+$", var.catalog))
    error_message = "The catalog's name is letters, digits and underscores."
  }
}

variable "schema" {
  type        = string
  description = "Schema to make."

  validation {
    condition     = can(regex("^[a-z0-9_]+$", var.schema))
    error_message = "The schema's name is lower-case letters, digits and underscores."
  }
}

variable "volume" {
  type        = string
  description = "Volume to make in the schema, for the lake."

  validation {
    condition     = can(regex("^[a-z0-9_]+$", var.volume))
    error_message = "The volume's name is lower-case letters, digits and underscores."
  }
}

variable "writer" {
  type        = string
  description = "Application id of the service principal that writes."

  validation {
    condition     = length(var.writer) > 0
    error_message = "The lake needs somebody who writes it."
  }
}

variable "reader_groups" {
  type        = set(string)
  description = "Groups that read."
  default     = []

  validation {
    condition     = alltrue([for group in var.reader_groups : length(group) > 0])
    error_message = "A group has a name."
  }
}

variable "keep" {
  type        = bool
  description = "Whether the schema is kept when it holds tables and is to be destroyed."
  default     = true

  validation {
    condition     = var.keep != null
    error_message = "Say true or false."
  }
}

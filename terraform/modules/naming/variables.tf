variable "project" {
  type        = string
  description = "Short name that everything carries."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,30}$", var.project))
    error_message = "The project is lower-case letters and digits, and starts with a letter."
  }
}

variable "environment" {
  type        = string
  description = "dev, staging or prod."

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is one of dev, staging and prod."
  }
}

variable "catalog" {
  type        = string
  description = "Catalog that the schema is in."

  validation {
    condition     = can(regex("^[A-Za-z0-9_]+$", var.catalog))
    error_message = "The catalog's name is letters, digits and underscores."
  }
}

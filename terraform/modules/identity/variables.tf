variable "name" {
  type        = string
  description = "Name of the service principal and of the secret scope."

  validation {
    condition     = can(regex("^[a-z0-9-]+$", var.name))
    error_message = "The name is lower-case letters, digits and hyphens."
  }
}

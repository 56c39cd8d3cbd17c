variable "answers" {
  type        = string
  description = "What the query asks for: links or entities."

  validation {
    condition     = contains(["links", "entities"], var.answers)
    error_message = "A query's answers are links or entities."
  }
}

variable "values" {
  type        = map(string)
  description = "Values of the job's parameters that are not the defaults."
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.values) : contains(local.names, name)])
    error_message = "The job's parameters are ${join(", ", local.names)}."
  }
}

variable "prefix" {
  type        = string
  description = "What the policies' names begin with."

  validation {
    condition     = length(var.prefix) > 0
    error_message = "Policies need a name."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of every machine."

  validation {
    condition     = length(var.tags) > 0
    error_message = "What costs money is tagged."
  }
}

variable "spark_version" {
  type        = string
  description = "Runtime of the machines without GPUs."

  validation {
    condition     = !strcontains(var.spark_version, "-gpu")
    error_message = "The runtime is one without GPUs."
  }
}

variable "gpu_spark_version" {
  type        = string
  description = "Runtime of the machines with GPUs."

  validation {
    condition     = strcontains(var.gpu_spark_version, "-gpu")
    error_message = "The runtime is one for GPUs."
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

variable "most_workers" {
  type        = number
  description = "Most machines of a cluster for Spark."

  validation {
    condition     = var.most_workers >= 1 && var.most_workers == floor(var.most_workers)
    error_message = "A whole number of at least 1."
  }
}

variable "user" {
  type        = string
  description = "Application id of the service principal that may use the policies."

  validation {
    condition     = length(var.user) > 0
    error_message = "Policies that nobody may use are of no use."
  }
}

locals {
  prefix = "${var.project}-${var.environment}"
  # Names in a catalog have no hyphens.
  schema = replace(local.prefix, "-", "_")
}

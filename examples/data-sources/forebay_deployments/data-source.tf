data "forebay_deployments" "etl" {
  work_pool_name = "etl"
}

data "forebay_work_pool" "etl" {
  name = "etl"
}

output "etl_status" {
  value = data.forebay_work_pool.etl.status
}

data "forebay_work_queue" "urgent" {
  work_pool_name = "etl"
  name           = "urgent"
}

data "forebay_work_queues" "etl" {
  work_pool_name = "etl"
}

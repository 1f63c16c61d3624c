data "forebay_workers" "online" {
  work_pool_name = "etl"
  status         = "ONLINE"
}

check "etl_is_served" {
  assert {
    condition     = length(data.forebay_workers.online.workers) > 0
    error_message = "No worker serves the pool."
  }
}

resource "forebay_work_pool" "etl" {
  name = "etl"
  type = "process"
}

resource "forebay_work_queue" "urgent" {
  work_pool_name    = forebay_work_pool.etl.name
  name              = "urgent"
  description       = "Served before everything else"
  priority          = 1
  concurrency_limit = 2
}

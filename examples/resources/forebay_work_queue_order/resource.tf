resource "forebay_work_pool" "etl" {
  name = "etl"
  type = "process"
}

resource "forebay_work_queue" "etl" {
  for_each = toset(["urgent", "daily", "backfill"])

  work_pool_name = forebay_work_pool.etl.name
  name           = each.key
}

resource "forebay_work_queue_order" "etl" {
  work_pool_name = forebay_work_pool.etl.name
  queues = [
    forebay_work_queue.etl["urgent"].name,
    "default",
    forebay_work_queue.etl["daily"].name,
    forebay_work_queue.etl["backfill"].name,
  ]
}

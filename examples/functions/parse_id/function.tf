output "pool" {
  value = provider::forebay::parse_id("work_queue", "etl/high").work_pool_name
}

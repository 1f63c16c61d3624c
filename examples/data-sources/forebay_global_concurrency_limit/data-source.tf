data "forebay_global_concurrency_limit" "warehouse" {
  name = "warehouse"
}

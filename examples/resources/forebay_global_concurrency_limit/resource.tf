resource "forebay_global_concurrency_limit" "warehouse" {
  name  = "warehouse"
  limit = 4
}

# Ten a minute.
resource "forebay_global_concurrency_limit" "mail" {
  name                  = "mail"
  limit                 = 10
  slot_decay_per_second = 0.1667
}

resource "forebay_variable" "retention" {
  name  = "retention"
  value = { days = 30, tables = ["orders", "customers"] }
  tags  = ["etl"]
}

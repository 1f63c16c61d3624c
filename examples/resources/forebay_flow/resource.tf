resource "forebay_flow" "load" {
  name = "load"
  tags = ["etl"]
}

data "forebay_flows" "etl" {
  tags = ["etl"]
}

data "forebay_flow" "load" {
  name = "load"
}

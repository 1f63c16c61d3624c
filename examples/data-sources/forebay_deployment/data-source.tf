data "forebay_deployment" "nightly" {
  flow_name = "load"
  name      = "nightly"
}

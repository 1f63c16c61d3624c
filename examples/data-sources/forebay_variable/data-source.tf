data "forebay_variable" "retention" {
  name = "retention"
}

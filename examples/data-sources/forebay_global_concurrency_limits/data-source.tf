data "forebay_global_concurrency_limits" "mail" {
  name_prefix = "mail-"
}

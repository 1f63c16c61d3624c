data "forebay_server" "this" {}

check "server_version" {
  assert {
    condition     = startswith(data.forebay_server.this.version, "3.")
    error_message = "This configuration needs a server of version 3."
  }
}
